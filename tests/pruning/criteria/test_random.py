"""Random scores are uniform, untied, and come from the given generator alone."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.random import Random
from tests.pruning.networks import build, prune_set


def test_scores_are_the_generators_uniform_numbers_in_the_order_of_layers() -> None:
    model = build("mlp")
    scores = Random().score(model, prune_set(), torch.Generator().manual_seed(4))
    expected = torch.rand(64 * 20 + 20 * 15 + 15 * 10, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert torch.equal(torch.cat([tensor.flatten() for tensor in scores.values()]), expected)


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    before = torch.get_rng_state()
    Random().score(build("mlp"), prune_set(), torch.Generator().manual_seed(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_different_seeds_give_different_scores() -> None:
    first, second = (
        Random().score(nn.Linear(9, 9), prune_set(), torch.Generator().manual_seed(s))["weight"] for s in (0, 1)
    )
    assert not (first == second).any()


def test_hundreds_of_thousands_of_scores_do_not_tie() -> None:
    scores = Random().score(nn.Linear(600, 600), prune_set(), torch.Generator().manual_seed(0))["weight"]
    assert len(scores.unique()) == 360_000
    assert 0 <= float(scores.min()) < 1e-4
    assert 1 - 1e-4 < float(scores.max()) < 1
    assert abs(float(scores.mean()) - 0.5) < 0.005
