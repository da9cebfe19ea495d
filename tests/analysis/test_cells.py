"""Cells by sparsity: their borders."""

import pytest

from analysis import cells


def test_cells_meet_half_way_in_decades():
    edges = cells._edges([1.0, 100.0, 10_000.0])
    assert edges == pytest.approx([0.1, 10.0, 1000.0, 100_000.0])
    assert cells._edges([4.0]) == [2.0, 8.0]
