"""Residual identities of the models that ship: counted by hand, invisible unless asked for."""

from __future__ import annotations

import pkgutil
from typing import Any

import pytest
import torch
from torch import nn

from models.table import MODELS
from pruning.prunable import choose_prunable, gates, prunable_weights

# (model, options, channels of its shortcuts without parameters)
COUNTED: list[tuple[str, dict[str, Any], int]] = [
    ("resnet20", {}, 3 * 16 + 2 * 32 + 2 * 64),
    ("resnet20", {"shortcut": "padding"}, 3 * 16 + (16 + 2 * 32) + (32 + 2 * 64)),  # padded: the channels it halves
    ("resnet18", {"form": "cifar"}, 2 * 64 + 128 + 256 + 512),
    ("resnet50", {"form": "cifar"}, 2 * 256 + 3 * 512 + 5 * 1024 + 2 * 2048),
    ("wrn16_4", {}, 64 + 128 + 256),
]


def build(name: str, options: dict[str, Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: nn.Module = pkgutil.resolve_name(MODELS[name].target)(
            input_shape=(3, 32, 32), num_classes=10, **options
        ).eval()
    return made


@pytest.mark.parametrize(("name", "options", "num_channels"), COUNTED)
def test_residual_identities_are_counted_by_channel_and_change_nothing_while_open(
    name: str, options: dict[str, Any], num_channels: int
) -> None:
    model = build(name, options)
    plain = prunable_weights(model)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = model(images)
        choose_prunable(model, "weights,residual")
        assert torch.equal(model(images), before)
        weights = prunable_weights(model)
        assert set(weights) - set(plain) == gates(model)
        assert sum(weights[gate].numel() for gate in gates(model)) == num_channels
        for gate in gates(model):
            weights[gate].zero_()
        assert not torch.equal(model(images), before)
