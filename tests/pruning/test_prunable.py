"""Which weights a pruner may touch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.prunable import prunable_weights
from tests.pruning.networks import build

EXPECTED = {
    "mlp": ["hidden.0.weight", "hidden.1.weight", "classifier.weight"],
    "convnet": ["features.0.weight", "features.4.weight", "features.7.weight", "classifier.weight"],
    "residual": ["stem.0.weight", "body.0.weight", "body.3.weight", "shortcut.0.weight", "classifier.weight"],
    "grouped": ["features.0.weight", "features.2.weight", "features.4.weight", "classifier.weight"],
    "bypassed": ["stem.weight", "branch.0.weight", "branch.2.weight", "classifier.weight"],
    "transposed": ["features.0.weight", "features.2.weight", "classifier.weight"],
}


@pytest.mark.parametrize("network", EXPECTED)
def test_weights_of_convolutions_and_linear_layers_in_the_order_of_the_network(network: str) -> None:
    model = build(network)
    weights = prunable_weights(model)
    assert list(weights) == EXPECTED[network]
    assert all(weight is model.get_parameter(name) for name, weight in weights.items())


def test_a_bare_layer_is_a_network() -> None:
    layer = nn.Linear(2, 3)
    assert prunable_weights(layer) == {"weight": layer.weight}


def test_a_weight_shared_by_two_layers_appears_once_under_its_first_name() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    assert list(prunable_weights(model)) == ["0.weight", "3.weight"]


def test_a_layer_used_twice_appears_once() -> None:
    layer = nn.Linear(3, 3)
    assert list(prunable_weights(nn.Sequential(layer, nn.ReLU(), layer))) == ["0.weight"]


def test_a_model_without_prunable_layers_is_refused_with_what_would_be_one() -> None:
    with pytest.raises(ValueError, match="BatchNorm2d has no prunable layer: expected at least one of Linear, Conv1d"):
        prunable_weights(nn.BatchNorm2d(3))


def test_one_and_three_dimensional_convolutions_are_prunable() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Conv3d(1, 2, 3), nn.Embedding(2, 2), nn.LayerNorm(2))
    assert {name: weight.dim() for name, weight in prunable_weights(model).items()} == {"0.weight": 3, "1.weight": 5}
    assert torch.is_tensor(prunable_weights(model)["0.weight"])


@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_transposed_convolutions_are_prunable(kind: type[nn.ConvTranspose2d]) -> None:
    layer = kind(2, 3, 3)
    assert prunable_weights(nn.Sequential(nn.ReLU(), layer)) == {"1.weight": layer.weight}
