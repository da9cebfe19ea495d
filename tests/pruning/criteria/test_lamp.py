"""LAMP against its definition by brute force."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.criteria.lamp import Lamp
from tests.pruning.networks import NETWORKS, build, prune_set

DATA = PruneSet(inputs=torch.zeros(1, 1), targets=torch.zeros(1, dtype=torch.long))


def layer(values: list[float]) -> nn.Linear:
    linear = nn.Linear(len(values), 1, bias=False).double()
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([values]))
    return linear


def brute_force(values: list[float]) -> list[float]:
    return [v**2 / sum(u**2 for u in values if abs(u) >= abs(v)) if v else 0.0 for v in values]


@pytest.mark.parametrize(
    "values",
    [
        [1.0, -2.0, 3.0],
        [2.0, 2.0, -2.0, 1.0],
        [0.0, 0.0, 5.0, -0.0],
        [0.0, 0.0],
        [1e-30, 3e-30, 1.0],
        [-7.0],
    ],
)
def test_scores_are_the_definition(values: list[float]) -> None:
    scores = Lamp().score(layer(values), DATA, torch.Generator())["weight"]
    assert scores.flatten().tolist() == pytest.approx(brute_force(values), rel=1e-14)


def test_three_weights_by_hand() -> None:
    scores = Lamp().score(layer([1.0, -2.0, 3.0]), DATA, torch.Generator())["weight"]
    assert scores.flatten().tolist() == [1 / 14, 4 / 13, 1.0]


@pytest.mark.parametrize("network", NETWORKS)
def test_scores_of_every_network_are_the_definition(network: str) -> None:
    model = build(network)
    scores = Lamp().score(model, prune_set(), torch.Generator())
    for name, score in scores.items():
        weight = model.get_parameter(name).detach().double().flatten()
        not_smaller = (weight.abs()[None, :] >= weight.abs()[:, None]).double()
        torch.testing.assert_close(score.flatten(), weight**2 / (not_smaller @ weight**2), rtol=1e-12, atol=0.0)
        assert score.max() == 1.0


def test_removing_smaller_weights_changes_no_score() -> None:
    before = Lamp().score(layer([3.0, 1.0, -2.0, 4.0]), DATA, torch.Generator())["weight"]
    after = Lamp().score(layer([3.0, 0.0, 0.0, 4.0]), DATA, torch.Generator())["weight"]
    assert before.flatten()[[0, 3]].tolist() == after.flatten()[[0, 3]].tolist()
