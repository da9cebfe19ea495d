"""Images of another size: scaled as Pillow scales them, and nothing else about a data set changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.build import load_dataset
from training.capacity import capacity
from training.config import DatasetConfig, ModelConfig
from training.datasets.contract import Dataset
from training.datasets.holdout import hold_out
from training.datasets.table import DATASETS
from training.workload import workload

from .conftest import Root

WITH_SIZE = [name for name, entry in DATASETS.items() if "size" in entry.options]


def load(root: Path, name: str, **options: object) -> Dataset:
    return load_dataset(DatasetConfig(name=name, options=json.dumps(options)), root)


def by_pillow(image: torch.Tensor, size: int) -> torch.Tensor:
    channels = [Image.fromarray(channel.numpy()) for channel in image]
    scaled = [channel.resize((size, size), Image.Resampling.BILINEAR) for channel in channels]
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in scaled]))


@pytest.mark.parametrize("size", [7, 32, 50])
@pytest.mark.parametrize("augment", [None, 3])
def test_images_are_scaled_after_normalisation_and_augmentation(standin: Root, size: int, augment: int | None) -> None:
    root, order = standin("cifar10"), torch.tensor([4, 0, 9])
    ((images, labels),) = load(root, "cifar10").train.batches(order, 3, augment)
    scaled = load(root, "cifar10", size=size)
    assert scaled.input_shape == (3, size, size)
    ((found, of_found),) = scaled.train.batches(order, 3, augment)
    assert torch.equal(of_found, labels)
    torch.testing.assert_close(found, torch.stack([by_pillow(image, size) for image in images]), atol=2e-5, rtol=0)


def test_everything_else_is_as_it_was(standin: Root) -> None:
    root = standin("svhn")
    plain, scaled = load(root, "svhn"), load(root, "svhn", size=40)
    assert scaled.content_hash == plain.content_hash, "the images that were used"
    for was, part in zip(
        (plain.train, plain.validation, plain.test), (scaled.train, scaled.validation, scaled.test), strict=True
    ):
        assert len(part) == len(was)
        assert torch.equal(part.labels, was.labels)
    held_out = hold_out(scaled.to(torch.device("cpu")), "4")
    assert (len(held_out.validation), held_out.validation.image_shape) == (4, (3, 40, 40))
    assert next(held_out.validation.batches(None, 4))[0].shape == (4, 3, 40, 40)


@pytest.mark.parametrize("name", WITH_SIZE)
def test_a_plan_knows_the_size_without_reading_images(name: str) -> None:
    channels = (DATASETS[name].input_shape or (0,))[0]
    dataset = DatasetConfig(name=name, options='{"size":10}')
    perceptron = ModelConfig(name="mlp", options='{"widths":[6]}')
    classes = DATASETS[name].num_classes or 0
    assert capacity(dataset, perceptron, data_root="/nowhere").num_weights == channels * 100 * 6 + 6 * classes
    assert workload(dataset, perceptron, data_root="/nowhere").macs == channels * 100 * 6 + 6 * classes


@pytest.mark.parametrize("size", [0, -3, 2.5, "224", True])
def test_a_size_is_a_number_of_pixels(standin: Root, size: object) -> None:
    with pytest.raises(ValueError, match=f"size {size!r}: expected the pixels of a side"):
        load(standin("cifar10"), "cifar10", size=size)
