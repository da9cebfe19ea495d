"""SynFlow-L2 against its formula: squared paths."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from models.mlp import MLP
from pruning.criteria.contract import PruneSet
from pruning.criteria.synflow import SynFlow
from pruning.criteria.synflow_l2 import SynFlowL2
from tests.pruning.networks import briefly_trained, build, prune_set


def test_a_three_layer_network_scores_by_the_closed_form() -> None:
    rng = np.random.default_rng(2)
    first, second, third = rng.normal(size=(4, 3)), rng.normal(size=(5, 4)), rng.normal(size=(2, 5))
    model = MLP(input_shape=(3, 1, 1), num_classes=2, widths=(4, 5)).double()
    with torch.no_grad():
        for layer, weight in zip([*model.hidden, model.classifier], [first, second, third], strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.fill_(-3.0)
    data = PruneSet(inputs=torch.zeros(4, 3, 1, 1, dtype=torch.float64), targets=torch.zeros(4, dtype=torch.long))
    scores = SynFlowL2().score(model, data, torch.Generator())
    first, second, third = first**2, second**2, third**2
    np.testing.assert_allclose(scores["hidden.0.weight"], first * (third.sum(0) @ second)[:, None], rtol=1e-13)
    np.testing.assert_allclose(scores["hidden.1.weight"], second * np.outer(third.sum(0), first.sum(1)), rtol=1e-13)
    np.testing.assert_allclose(scores["classifier.weight"], third * (second @ first.sum(1)), rtol=1e-13)


def test_batchnorms_scale_is_squared_like_a_weight() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, eps=0.5), nn.Linear(1, 1)).double()
    with torch.no_grad():
        model[0].weight.fill_(2.0)
        model[1].weight.fill_(-3.0)
        model[1].bias.fill_(7.0)
        model[1].running_mean.fill_(5.0)
        model[1].running_var.fill_(3.5)  # gamma / sigma = 3 / 2
        model[2].weight.fill_(-4.0)
    data = PruneSet(inputs=torch.zeros(1, 1, dtype=torch.float64), targets=torch.zeros(1, dtype=torch.long))
    scores = SynFlowL2().score(model, data, torch.Generator())
    assert [float(score) for score in scores.values()] == pytest.approx([4 * 2.25 * 16] * 2, rel=1e-14)


@pytest.mark.parametrize("network", ["mlp", "convnet"])
def test_every_cut_carries_the_whole_flow_on_a_trained_network(network: str) -> None:
    data = PruneSet(inputs=prune_set().inputs.double(), targets=prune_set().targets)
    scores = SynFlowL2().score(briefly_trained(build(network)).double(), data, torch.Generator())
    totals = [float(score.sum()) for score in scores.values()]
    assert totals == pytest.approx([totals[0]] * len(totals), rel=1e-10)
    plain = SynFlow().score(briefly_trained(build(network)).double(), data, torch.Generator())
    assert not np.allclose(totals, [float(score.sum()) for score in plain.values()])


def test_a_network_too_deep_for_the_dtype_keeps_its_ranking() -> None:
    """Squared weights of 2^20 in 60 layers make R = 2^2400, far beyond float64; ratios of scores stay exact."""
    model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(60))).double()
    with torch.no_grad():
        for layer in model:
            layer.weight.fill_(2.0**20)
        model[0].weight[0, 0] *= 2  # four times the flow, squared
    data = PruneSet(inputs=torch.ones(1, 2, dtype=torch.float64), targets=torch.zeros(1, dtype=torch.int64))
    scores = SynFlowL2().score(copy.deepcopy(model), data, torch.Generator())
    assert all(score.isfinite().all() for score in scores.values())
    assert scores["0.weight"][0, 0] == 4 * scores["0.weight"][1, 1]
