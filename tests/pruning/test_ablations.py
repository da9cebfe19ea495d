"""Ablations keep the counts and change the rest, visibly."""

from __future__ import annotations

from decimal import Decimal

import torch

from pruning.ablations import inverted, shuffled
from pruning.masks import all_kept
from pruning.scopes import keep_highest


def masks() -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=source) < 0.3 for name, shape in {"a": (20, 30), "b": (10, 3, 3)}.items()}


def test_shuffling_keeps_every_layers_count_and_moves_the_weights() -> None:
    before = masks()
    after = shuffled(before, torch.Generator().manual_seed(1))
    again = shuffled(before, torch.Generator().manual_seed(1))
    for name in before:
        assert after[name].sum() == before[name].sum()
        assert after[name].shape == before[name].shape
        assert not torch.equal(after[name], before[name])
        assert torch.equal(after[name], again[name])


def test_inverting_keeps_exactly_the_lowest_scores_zeros_included() -> None:
    scores = {"a": torch.tensor([3.0, 0.0, 1.0, 2.0, 0.5])}
    kept = keep_highest(inverted(scores), all_kept(scores), Decimal("0.4"), "global")
    assert kept["a"].tolist() == [False, True, False, False, True]
