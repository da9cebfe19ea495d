"""How much arithmetic a trial asks for, from shapes alone: what a first guess at its seconds is made of."""

from __future__ import annotations

from dataclasses import dataclass

from training.build import build_shapes, load_dataset
from training.config import DatasetConfig, ModelConfig
from training.datasets.table import DATASETS
from training.macs import macs_per_image


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
    known_shape = entry.shape_with(dataset.kwargs) if entry else None
    if entry and known_shape and entry.num_classes and entry.num_train:
        input_shape, num_classes = known_shape, entry.num_classes
        num_train, num_test = entry.num_train_with(dataset.kwargs), entry.num_test
    else:
        loaded = load_dataset(dataset, data_root)
        input_shape, num_classes = loaded.input_shape, loaded.num_classes
        num_train, num_test = len(loaded.train), len(loaded.test)
    network = build_shapes(model, input_shape=input_shape, num_classes=num_classes)
    macs = macs_per_image(network, input_shape)
    return Workload(num_train=num_train, num_test=num_test, num_classes=num_classes, macs=macs)
