"""How much arithmetic a trial asks for, from shapes alone: what a first guess at its seconds is made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.build import build_shapes, load_dataset
from training.config import DatasetConfig, ModelConfig
from training.datasets.table import DATASETS


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Sizes of a data set and of a model on its images."""

    num_train: int
    num_test: int
    num_classes: int
    macs: int
    """Multiplications of the dense network for one image, forward."""


def workload(dataset: DatasetConfig, model: ModelConfig, *, data_root: str | None = None) -> Workload:
    """The sizes of `model` on `dataset`; no data set is loaded but a user's, and one whose sizes are options."""
    entry = DATASETS.get(dataset.name)
    if entry and entry.input_shape and entry.num_classes and entry.num_train:
        input_shape, num_classes = entry.input_shape, entry.num_classes
        num_train, num_test = entry.num_train, entry.num_test
    else:
        loaded = load_dataset(dataset, data_root)
        input_shape, num_classes = loaded.input_shape, loaded.num_classes
        num_train, num_test = len(loaded.train), len(loaded.test)
    network = build_shapes(model, input_shape=input_shape, num_classes=num_classes)
    macs = macs_per_image(network, input_shape)
    return Workload(num_train=num_train, num_test=num_test, num_classes=num_classes, macs=macs)


def macs_per_image(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiplications by weights of convolutions and linear layers, groups included, in one forward pass of an image.

    Counted while the network runs on two images; a layer that runs on one example for the whole batch counts for it.
    """
    counted = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal counted
        weight = layer.weight
        assert isinstance(weight, Tensor)
        positions = output[0].numel() // len(weight)
        counted += weight.numel() * positions

    hooks = [
        layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            first = next(model.parameters(), torch.empty(0))
            model.eval()(torch.zeros(2, *input_shape, device=first.device, dtype=first.dtype))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return counted
