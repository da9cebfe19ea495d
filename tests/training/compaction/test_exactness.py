"""Compact training is masked dense training, in float64, over a pairwise sample of models, criteria and options.

The whole table is `python -m benchmarks.compaction_exactness`; here the models are small enough for every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.compaction_exactness import (
    AXES,
    MODELS,
    NUM_CLASSES,
    Case,
    holds,
    masks_of,
    measure,
    measure_network,
    multiple_of_chaos,
    pairwise,
    start_of,
)
from models.convnet import ConvNet
from pruning.masks import Masks
from pruning.prunable import prunable_weights

MODELS["convnet"] = lambda: ConvNet(input_shape=(3, 16, 16), num_classes=NUM_CLASSES)
SMALL = ["mlp", "fc", "conv", "convnet", "lenet5", "resnet20", "resnet20, padding"]
SAMPLE = [Case(**row) for row in pairwise(AXES | {"model": SMALL})]


def assert_exact(row: dict[str, Any]) -> None:
    """Within the tolerances, or no further off than ten times what rounding makes of masked dense itself."""
    assert "reason" not in row
    assert holds(row), row


@pytest.mark.parametrize("case", SAMPLE, ids=str)
def test_compact_training_is_masked_dense_training(case: Case) -> None:
    assert_exact(measure(case))


def test_the_sample_has_every_pair_of_options() -> None:
    rows = [vars(case) for case in SAMPLE]
    axes = AXES | {"model": SMALL}
    for first, second in itertools.combinations(axes, 2):
        assert {(row[first], row[second]) for row in rows} == set(itertools.product(axes[first], axes[second]))


@pytest.mark.parametrize(
    "case",
    [
        Case("vgg11_bn", "synflow", 3),
        Case("wrn40_1", "snip", 1.5, label_smoothing=0.1),
    ],
    ids=str,
)
def test_deeper_networks_too(case: Case) -> None:
    assert_exact(measure(case))


@pytest.mark.parametrize(
    "case",
    [
        Case("convnet", "snip", 2),
        Case("resnet20", "synflow", 2, start="pretrained"),
        Case("lenet5", "magnitude", 2, start="default biases"),
    ],
    ids=str,
)
def test_after_fifty_steps_they_are_no_further_apart_than_rounding_drives_masked_dense(case: Case) -> None:
    model = start_of(case)
    assert multiple_of_chaos(case, model, masks_of(case, model), num_steps=50) <= 10


class Everything(nn.Module):
    """Grouped and depthwise convolutions, concatenation, squeeze-and-excitation, and activations of all kinds."""

    def __init__(self, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), activation())
        self.grouped = nn.Sequential(nn.Conv2d(12, 24, 3, padding=1, groups=3, bias=False), nn.BatchNorm2d(24))
        self.depthwise = nn.Sequential(nn.Conv2d(12, 24, 3, stride=2, groups=12, padding=1), activation())
        self.branch = nn.Sequential(nn.Conv2d(12, 8, 1), activation(), nn.AvgPool2d(2))
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 6, 1), nn.ReLU(), nn.Conv2d(6, 32, 1), nn.Sigmoid()
        )
        self.mix = nn.Sequential(nn.Conv2d(32, 16, 3), nn.BatchNorm2d(16), activation())
        self.head = nn.Sequential(nn.Linear(16 + 24, 30), nn.BatchNorm1d(30), activation(), nn.Linear(30, NUM_CLASSES))

    def forward(self, images_nchw: Tensor) -> Tensor:
        stem = self.stem(images_nchw)
        grouped = nn.functional.max_pool2d(torch.relu(self.grouped(stem)), 2)
        joined = torch.cat([self.depthwise(stem) + grouped, self.branch(stem)], 1)
        joined = joined * self.squeeze(joined)
        return self.head(torch.cat([self.mix(joined).mean((2, 3)), grouped[:, :, ::2, ::2].mean((2, 3))], dim=1))


def random_masks(model: nn.Module, density: float, seed: int) -> Masks:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.rand(w.shape, generator=source) < density for name, w in prunable_weights(model).items()}


@pytest.mark.parametrize("density", [0.5, 0.06])
@pytest.mark.parametrize("biases", ["zero", "random"])
@pytest.mark.parametrize(
    "activation",
    [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Tanh, nn.GELU, nn.Hardswish, nn.Sigmoid],
    ids=lambda a: a.__name__,
)
def test_every_construct_that_is_understood(activation: Callable[[], nn.Module], biases: str, density: float) -> None:
    torch.manual_seed(0)
    model = Everything(activation).double().train()
    if biases == "zero":
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
    assert_exact(measure_network(Case("", "", 0), model, random_masks(model, density, seed=0)))
