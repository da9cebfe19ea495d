"""Fewer training images: the same ones for everybody, and nothing else about a data set changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from training.build import load_dataset
from training.config import DatasetConfig, ModelConfig
from training.datasets.contract import Dataset, Examples
from training.datasets.holdout import hold_out
from training.datasets.table import DATASETS
from training.workload import workload

from .conftest import NUM_TRAIN, Root

WITH_SUBSET = [name for name, entry in DATASETS.items() if "num_train" in entry.options and entry.is_fetched]


def load(root: Path, name: str, **options: object) -> Dataset:
    return load_dataset(DatasetConfig(name=name, options=json.dumps(options)), root)


def images(part: Examples) -> list[bytes]:
    return [image.numpy().tobytes() for batch, _ in part.batches(None, 7) for image in batch]


@pytest.mark.parametrize("name", ["mnist", "cifar10", "svhn"])
def test_a_subset_is_some_of_the_images_in_their_order_with_their_labels(standin: Root, name: str) -> None:
    root = standin(name)
    whole, half = load(root, name), load(root, name, num_train=NUM_TRAIN // 2)
    assert len(half.train) == NUM_TRAIN // 2
    everything, found = images(whole.train), images(half.train)
    places = [everything.index(image) for image in found]
    assert places == sorted(set(places))
    assert places != list(range(NUM_TRAIN // 2)), "drawn, not cut off"
    assert half.train.labels.tolist() == whole.train.labels[places].tolist()
    assert images(half.test) == images(whole.test)
    assert (len(half.validation), half.num_classes, half.content_hash) == (0, whole.num_classes, whole.content_hash)


def test_a_smaller_subset_lies_in_a_larger_one_and_all_is_all(standin: Root) -> None:
    root = standin("cifar10")
    small, large = (set(images(load(root, "cifar10", num_train=count).train)) for count in (20, 50))
    assert len(small) == 20
    assert small < large
    assert images(load(root, "cifar10", num_train=NUM_TRAIN).train) == images(load(root, "cifar10").train)


def test_what_is_held_out_and_scaled_comes_from_the_subset(standin: Root) -> None:
    root = standin("cifar10")
    part = set(load(root, "cifar10", num_train=30, size=40).train.labels.tolist())
    held_out = hold_out(load(root, "cifar10", num_train=30, size=40), "10")
    assert (len(held_out.train), len(held_out.validation), held_out.input_shape) == (20, 10, (3, 40, 40))
    assert set(held_out.train.labels.tolist()) <= part
    drawn = images(held_out.train) + images(held_out.validation)
    assert sorted(drawn) == sorted(images(load(root, "cifar10", num_train=30, size=40).train))


def test_an_image_is_augmented_as_it_is_in_the_whole(standin: Root) -> None:
    root = standin("cifar10")
    whole, half = load(root, "cifar10"), load(root, "cifar10", num_train=40)
    everything = images(whole.train)
    places = torch.tensor([everything.index(image) for image in images(half.train)])
    ((expected, _),) = whole.train.batches(places, 40, 5)
    ((found, _),) = half.train.batches(None, 40, 5)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", WITH_SUBSET)
def test_an_estimate_knows_the_images_without_reading_them(name: str) -> None:
    dataset = DatasetConfig(name=name, options='{"num_train":300}')
    found = workload(dataset, ModelConfig(name="mlp", options='{"widths":[6]}'), data_root="/nowhere")
    assert (found.num_train, found.num_test) == (300, DATASETS[name].num_test)


@pytest.mark.parametrize("num_train", [0, -3, 2.5, "224", True, NUM_TRAIN + 1])
def test_a_subset_is_a_number_of_images_that_there_are(standin: Root, num_train: object) -> None:
    expected = f"num_train {num_train!r}: expected a whole number from 1 to {NUM_TRAIN}, all there are"
    with pytest.raises(ValueError, match=expected):
        load(standin("cifar10"), "cifar10", num_train=num_train)
