"""What every data set in the table promises: a new one is covered by being registered and sized below.

Fashion-MNIST and CIFAR-100 are the real ones; the others are small stand-ins in the published format.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import re
from pathlib import Path

import pytest
import torch

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.contract import Dataset, Examples
from training.datasets.holdout import hold_out
from training.datasets.table import DATASETS

from .conftest import NUM_CLASSES, NUM_TEST, NUM_TRAIN, WRITERS, Root

# name: (train, validation, test) as published, (channels, height, width), classes
SIZES = {
    "digits": ((1097, 200, 500), (1, 8, 8), 10),
    "mnist": ((60000, 0, 10000), (1, 28, 28), 10),
    "fashion-mnist": ((60000, 0, 10000), (1, 28, 28), 10),
    "cifar10": ((50000, 0, 10000), (3, 32, 32), 10),
    "cifar100": ((50000, 0, 10000), (3, 32, 32), 100),
    "svhn": ((73257, 0, 26032), (3, 32, 32), 10),
    "tiny-imagenet": ((100000, 0, 10000), (3, 64, 64), 200),
    "imagenet": ((1281167, 0, 50000), (3, 224, 224), 1000),
    "synthetic": ((1000, 0, 500), (3, 32, 32), 10),
    "blank": ((0, 0, 0), (3, 224, 224), 1000),
}
READ = [name for name in DATASETS if DATASETS[name].files]
IN_TRAIN_AND_TEST = {"cifar100": 10}
"""Images that the publishers put into both, byte for byte."""
ROUNDED = 0.02
"""Means and deviations are published to three digits."""

every = pytest.mark.parametrize("name", DATASETS)
every_with_images = pytest.mark.parametrize("name", [name for name in DATASETS if DATASETS[name].has_images])


@pytest.fixture
def root_of(standin: Root, real: Root, tmp_path: Path) -> Root:
    def root(name: str) -> Path:
        if name in WRITERS:
            return standin(name)
        return real(name) if DATASETS[name].files else tmp_path

    return root


def load(name: str, root: Path, **options: object) -> Dataset:
    return load_dataset(DatasetConfig(name=name, options=json.dumps(options)), root)


def splits(dataset: Dataset) -> list[Examples]:
    return [dataset.train, dataset.validation, dataset.test]


def all_of(split: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """Every image and label as a network sees them."""
    images, labels = zip(*split.batches(None, 1000), strict=True)
    return torch.cat(images), torch.cat(labels)


def images_of(split: Examples) -> list[int]:
    """A fingerprint of every image as a network sees it."""
    return [hash(image.numpy().tobytes()) for images, _ in split.batches(None, 1000) for image in images]


@every
def test_sizes_shapes_and_types_are_as_the_table_says(name: str, root_of: Root) -> None:
    sizes, shape, num_classes = SIZES[name]
    entry = DATASETS[name]
    said = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", entry.summary)]
    assert {*(size for size in sizes if size), num_classes} <= set(said) or entry.input_shape is None
    assert (entry.input_shape, entry.num_classes) in {(shape, num_classes), (None, None)}

    present = sizes
    if name in WRITERS:
        present, num_classes = (NUM_TRAIN, 0, NUM_TEST), NUM_CLASSES
    dataset = load(name, root_of(name))
    assert (dataset.input_shape, dataset.num_classes) == (shape, num_classes)
    assert re.fullmatch("[0-9a-f]{32}", dataset.content_hash)
    for split, size in zip(splits(dataset), present, strict=True):
        assert len(split) == size
        assert split.image_shape == shape
        assert split.labels.shape == (size,)
        seen = []
        for images, labels in split.batches(None, 1000) if size else ():
            assert images.shape == (len(labels), *shape)
            assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
            assert bool(images.isfinite().all())
            seen += labels.tolist()
        assert seen == split.labels.tolist()
        assert not size or set(seen) == set(range(num_classes))


@every_with_images
def test_no_image_is_in_two_splits(name: str, root_of: Root) -> None:
    own = name in ("digits", "synthetic")
    option = {"num_validation": 40} if name == "synthetic" else {}
    dataset = hold_out(load(name, root_of(name), **option), "own" if own else "40")
    train, validation, test = (set(images_of(split)) for split in splits(dataset))
    assert len(validation) == (200 if name == "digits" else 40)
    assert not train & validation
    assert not validation & test
    assert len(train & test) == IN_TRAIN_AND_TEST.get(name, 0)


@every_with_images
def test_training_images_have_mean_zero_and_deviation_one(name: str, root_of: Root) -> None:
    if name in WRITERS:
        pytest.skip(f"{name}'s stand-in is noise: only the published images have its mean")
    images = all_of(load(name, root_of(name)).train)[0].double()
    tolerance = 1e-5 if name == "digits" else ROUNDED
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0] * images.shape[1], abs=tolerance)
    assert images.std((0, 2, 3)).tolist() == pytest.approx([1] * images.shape[1], abs=tolerance)


@every
def test_every_load_is_the_same_and_moves_no_global_generator(name: str, root_of: Root) -> None:
    root = root_of(name)
    before = torch.get_rng_state()
    first = load(name, root)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    for one, two in zip(splits(first), splits(load(name, root)), strict=True):
        for kept, again in zip(one.batches(None, 512), two.batches(None, 512), strict=True):
            assert torch.equal(kept[0], again[0])
            assert torch.equal(kept[1], again[1])
    torch.set_rng_state(before)


@every
def test_options_in_the_table_are_the_loaders_arguments(name: str) -> None:
    loader = pkgutil.resolve_name(DATASETS[name].target)
    arguments = tuple(one for one in inspect.signature(loader).parameters if one != "data_root")
    assert arguments == DATASETS[name].options


@every
def test_a_copy_on_a_device_is_the_same_data(name: str, root_of: Root) -> None:
    dataset = load(name, root_of(name))
    copy = dataset.to(torch.device("cpu"))
    assert copy.content_hash == dataset.content_hash
    for one, two in zip(splits(dataset), splits(copy), strict=True):
        if len(one):
            order = torch.arange(len(one)).flip(0)[:100]
            for kept, again in zip(one.batches(order, 64), two.batches(order, 64), strict=True):
                assert torch.equal(kept[0], again[0])
                assert torch.equal(kept[1], again[1])


@every_with_images
def test_batches_are_the_images_named_in_the_order_named(name: str, root_of: Root) -> None:
    train = load(name, root_of(name)).train
    images, labels = all_of(train)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:100]
    batches = list(train.batches(order, 32))
    assert [len(batch[1]) for batch in batches] == [32, 32, 32, 4]
    assert torch.equal(torch.cat([batch[0] for batch in batches]), images[order])
    assert torch.equal(torch.cat([batch[1] for batch in batches]), labels[order])


@every_with_images
def test_augmentation_depends_on_the_seed_and_the_image_alone(name: str, root_of: Root) -> None:
    train = load(name, root_of(name)).train
    order = torch.arange(100)
    if name in ("digits", "mnist", "fashion-mnist"):
        with pytest.raises(ValueError, match="no augmentation of its own"):
            next(train.batches(order, 32, augment=1))
        return
    state = torch.get_rng_state()
    images = torch.cat([batch[0] for batch in train.batches(order, 32, augment=1)])
    backwards = torch.cat([batch[0] for batch in train.batches(order.flip(0), 7, augment=1)])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, backwards.flip(0))
    other = torch.cat([batch[0] for batch in train.batches(order, 32, augment=2)])
    changed = (images != other).flatten(1).any(1)
    assert changed.sum() > 90
    plain = torch.cat([batch[0] for batch in train.batches(order, 32)])
    assert (images != plain).flatten(1).any(1).sum() > 90


@pytest.mark.parametrize("name", READ)
def test_validation_images_are_taken_from_the_training_images_and_nothing_is_lost(name: str, root_of: Root) -> None:
    root = root_of(name)
    whole, parted = load(name, root), hold_out(load(name, root), "30")
    assert len(parted.validation) == 30
    assert sorted(images_of(parted.train) + images_of(parted.validation)) == sorted(images_of(whole.train))
    assert images_of(parted.test) == images_of(whole.test)


@pytest.mark.parametrize("name", READ)
def test_a_data_set_that_is_not_there_is_asked_for_by_file_root_and_variable(name: str, tmp_path: Path) -> None:
    """For real: there is no network on the machines that test this, and where there is one nothing is downloaded."""
    if DATASETS[name].is_fetched and not _is_offline():
        pytest.skip("there is a network here, and the test would download the data set")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    assert all(part in message for part in ("--data-root", "data_root", "PRUNESWEEP_DATA"))
    assert all(file in message for file in DATASETS[name].files)


def _is_offline() -> bool:
    import socket

    try:
        socket.getaddrinfo("pytorch.org", 443)
    except OSError:
        return True
    return False
