"""SNIP against the gradient of a linear network written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.criteria.snip import Snip
from tests.pruning.networks import NETWORKS, build, prune_set


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def test_a_two_layer_linear_network_scores_by_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5, 4)), rng.normal(size=(3, 5))
    inputs, targets = rng.normal(size=(7, 4)), rng.integers(3, size=7)
    error = (softmax(inputs @ first.T @ second.T) - np.eye(3)[targets]) / 7  # dL / dlogits
    expected_second = np.abs(second * (error.T @ (inputs @ first.T)))
    expected_first = np.abs(first * (second.T @ error.T @ inputs))

    model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.Linear(5, 3, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(first))
        model[1].weight.copy_(torch.from_numpy(second))
    data = PruneSet(inputs=torch.from_numpy(inputs), targets=torch.from_numpy(targets), batch_size=3)
    scores = Snip().score(model, data, torch.Generator())
    np.testing.assert_allclose(scores["0.weight"].numpy(), expected_first, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scores["1.weight"].numpy(), expected_second, rtol=1e-12, atol=1e-15)


def test_one_weight_by_hand() -> None:
    # Logits (w x, 0) with w = 2, x = 1, label 1: dL/dw = sigmoid(2), so the score is 2 sigmoid(2).
    layer = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0], [0.0]]))
    data = PruneSet(inputs=torch.ones(1, 1, dtype=torch.float64), targets=torch.tensor([1]))
    scores = Snip().score(layer, data, torch.Generator())
    assert scores["weight"].flatten().tolist() == pytest.approx([2 / (1 + np.exp(-2)), 0.0], rel=1e-14)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("batch_size", [1, 7, 19])
def test_scores_do_not_depend_on_the_batch_size(network: str, batch_size: int) -> None:
    def score(size: int) -> list[torch.Tensor]:
        model, data = build(network).double().eval(), prune_set(20, size)
        data = PruneSet(inputs=data.inputs.double(), targets=data.targets, batch_size=size)
        return list(Snip().score(model, data, torch.Generator()).values())

    for whole, parts in zip(score(256), score(batch_size), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-14)
