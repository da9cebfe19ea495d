"""What every data set in the table promises: a new one is covered by being registered and sized below."""

from __future__ import annotations

import inspect
import pkgutil
import re

import pytest
import torch

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.contract import Dataset, Split
from training.datasets.table import DATASETS

# name: (train, validation, test), (channels, height, width), classes
SIZES = {"digits": ((1097, 200, 500), (1, 8, 8), 10)}

pytestmark = pytest.mark.parametrize("name", DATASETS)


def load(name: str) -> Dataset:
    return load_dataset(DatasetConfig(name=name))


def splits(dataset: Dataset) -> list[Split]:
    return [dataset.train, dataset.validation, dataset.test]


def test_sizes_shapes_and_types_are_as_the_table_says(name: str) -> None:
    sizes, shape, num_classes = SIZES[name]
    dataset = load(name)
    assert (dataset.input_shape, dataset.num_classes) == (shape, num_classes)
    for split, size in zip(splits(dataset), sizes, strict=True):
        assert len(split) == size
        assert split.images.shape == (size, *shape)
        assert split.labels.shape == (size,)
        assert (split.images.dtype, split.labels.dtype) == (torch.float32, torch.int64)
        assert split.images.is_contiguous()
        if size:
            assert bool(split.images.isfinite().all())
            assert split.labels.unique().tolist() == list(range(num_classes))
    said = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", DATASETS[name].summary)]
    assert {sum(sizes), *(size for size in sizes if size), num_classes} <= set(said)


def test_no_image_is_in_two_splits(name: str) -> None:
    dataset = load(name)
    rows = torch.cat([split.images.flatten(1) for split in splits(dataset)])
    assert len(rows.unique(dim=0)) == len(rows)


def test_training_images_have_mean_zero_and_deviation_one(name: str) -> None:
    images = load(name).train.images.double()
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0] * images.shape[1], abs=1e-5)
    assert images.std((0, 2, 3)).tolist() == pytest.approx([1] * images.shape[1], abs=1e-5)


def test_every_load_is_the_same_and_moves_no_global_generator(name: str) -> None:
    before = torch.get_rng_state()
    first = load(name)
    torch.rand(3)
    for one, two in zip(splits(first), splits(load(name)), strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
    torch.set_rng_state(before)


def test_options_in_the_table_are_the_loaders_arguments(name: str) -> None:
    loader = pkgutil.resolve_name(DATASETS[name].target)
    assert tuple(inspect.signature(loader).parameters) == DATASETS[name].options


def test_a_copy_on_a_device_is_the_same_data(name: str) -> None:
    dataset = load(name)
    for one, two in zip(splits(dataset), splits(dataset.to(torch.device("cpu"))), strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
