"""Masks survive packing, bit by bit, eight weights a byte."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning.packing import pack, unpack

masks = st.lists(st.booleans(), min_size=1, max_size=70).map(lambda entries: torch.tensor(entries, dtype=torch.bool))


@given(masks)
def test_packing_is_numpys_packing_and_reads_back(mask: torch.Tensor) -> None:
    bits = pack(mask)
    assert bits == np.packbits(mask.numpy()).tobytes()
    assert torch.equal(unpack(bits, tuple(mask.shape)), mask)


def test_shapes_are_restored() -> None:
    mask = torch.rand(3, 5, 2, 2, generator=torch.Generator().manual_seed(0)) < 0.3
    assert torch.equal(unpack(pack(mask), (3, 5, 2, 2)), mask)
    assert len(pack(mask)) == 8
