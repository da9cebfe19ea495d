"""MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 and SVHN: files as published, read by torchvision, kept as uint8.

The published files are fetched and decoded once, under a lock; after that every worker maps the same decoded copy
(`training.datasets.cache`) and torchvision is not even imported. Means and deviations are those of the training images
as customarily used: MNIST's from pytorch/examples, SVHN's as common in the literature, the CIFARs' from the SynFlow
authors' code, Fashion-MNIST's computed here. Only the CIFARs and SVHN are augmented, by zero-padding of 4, random crops
and, house numbers excepted, mirroring.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.datasets.augment import Augmentation
from training.datasets.cache import Arrays, cached
from training.datasets.checks import check_every_class, check_labels
from training.datasets.contract import Dataset, Normalisation, Split
from training.datasets.root import HOW_TO_NAME_A_ROOT, cache_folder
from training.datasets.table import DATASETS
from training.seeds import generator

SPLIT_SEED = 0
"""Part of the data set, not of a trial: every trial sees the same split."""


def mnist(data_root: Path, num_validation: int = 0) -> Dataset:
    """60,000 training images, `num_validation` of which are set apart, and 10,000 test images."""
    return _load("mnist", data_root, num_validation, Normalisation(mean=(0.1307,), std=(0.3081,)))


def fashion_mnist(data_root: Path, num_validation: int = 0) -> Dataset:
    """60,000 training images, `num_validation` of which are set apart, and 10,000 test images."""
    return _load("fashion-mnist", data_root, num_validation, Normalisation(mean=(0.2860,), std=(0.3530,)))


def cifar10(data_root: Path, num_validation: int = 0) -> Dataset:
    """50,000 training images, `num_validation` of which are set apart, and 10,000 test images."""
    normalisation = Normalisation(mean=(0.491, 0.482, 0.447), std=(0.247, 0.243, 0.262))
    return _load("cifar10", data_root, num_validation, normalisation, Augmentation())


def cifar100(data_root: Path, num_validation: int = 0) -> Dataset:
    """50,000 training images, `num_validation` of which are set apart, and 10,000 test images."""
    normalisation = Normalisation(mean=(0.507, 0.487, 0.441), std=(0.267, 0.256, 0.276))
    return _load("cifar100", data_root, num_validation, normalisation, Augmentation())


def svhn(data_root: Path, num_validation: int = 0) -> Dataset:
    """73,257 training images, `num_validation` of which are set apart, and 26,032 test images."""
    normalisation = Normalisation(mean=(0.4377, 0.4438, 0.4728), std=(0.1980, 0.2010, 0.1970))
    return _load("svhn", data_root, num_validation, normalisation, Augmentation(mirror=False))


def _load(
    name: str,
    root: Path,
    num_validation: int,
    normalisation: Normalisation,
    augmentation: Augmentation | None = None,
) -> Dataset:
    def build() -> Arrays:
        fetch_missing(name, root, lambda: READERS[name](root, download=True))
        check_files(name, root)
        train, test = READERS[name](root, download=False)
        return split_off(train, test, num_validation, name)

    arrays = cached(cache_folder(root), name, {"num_validation": num_validation}, build)
    return in_memory(arrays, DATASETS[name].num_classes or 0, normalisation, augmentation)


def in_memory(
    arrays: Arrays, num_classes: int, normalisation: Normalisation, augmentation: Augmentation | None
) -> Dataset:
    """The data set of arrays, which it views without a copy."""
    images = torch.from_numpy(arrays.images).split(list(arrays.sizes))
    labels = torch.from_numpy(arrays.labels).split(list(arrays.sizes))
    train, validation, test = (
        Split(images=part, labels=of_part, normalisation=normalisation, augmentation=augmentation)
        for part, of_part in zip(images, labels, strict=True)
    )
    return Dataset(
        train=train, validation=validation, test=test, num_classes=num_classes, content_hash=arrays.content_hash
    )


Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (n, channels, height, width) and labels (n,)."""


def split_off(train: Part, test: Part, num_validation: int, name: str) -> Arrays:
    """Set some training images apart, drawn without regard to class, always the same ones.

    Raises ValueError for more of them than there are, for labels out of range and for a class that has no image.
    """
    images, labels = train
    if isinstance(num_validation, bool) or not isinstance(num_validation, int) or not 0 <= num_validation < len(labels):
        raise ValueError(f"num_validation {num_validation!r}: expected a whole number from 0 to {len(labels) - 1}")
    num_classes = DATASETS[name].num_classes or 0
    for part, of_part in (("train", labels), ("test", test[1])):
        where = f"data set {name}: {part}"
        check_labels(torch.from_numpy(of_part), num_classes, where)
        check_every_class(torch.from_numpy(of_part), num_classes, f"{where}: replace its files by the published ones")
    order = torch.randperm(len(labels), generator=generator(SPLIT_SEED, "validation split")).numpy()
    apart, kept = np.sort(order[:num_validation]), np.sort(order[num_validation:])
    return Arrays(
        images=np.concatenate([images[kept], images[apart], test[0]]),
        labels=np.concatenate([labels[kept], labels[apart], test[1]]),
        sizes=(len(kept), len(apart), len(test[1])),
    )


def fetch_missing(name: str, root: Path, fetch: Callable[[], object]) -> None:
    """Download a data set some file of which is missing. Raises ValueError that says which files are expected where."""
    files = DATASETS[name].files
    missing = [file for file in files if not (root / file).exists()]
    if not missing:
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        fetch()
    except Exception as error:  # whatever the network, the disk or torchvision raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"data set {name} is not in {root}, and cannot be downloaded ({reason[:300]}). "
            f"Missing there: {', '.join(missing)}. Put what is missing there, or name the folder that holds the data "
            f"set by {HOW_TO_NAME_A_ROOT}"
        ) from None


def check_files(name: str, root: Path) -> None:
    """Raise ValueError for a file that is missing, cut short or not the published one."""
    for file, expected in DATASETS[name].files.items():
        path = root / file
        if not path.is_file():
            raise ValueError(f"{path} is missing: put it there, or name another folder by {HOW_TO_NAME_A_ROOT}")
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "md5").hexdigest()
        if found != expected:
            raise ValueError(
                f"{path}: MD5 {found}, expected {expected}: the file is damaged or not the published one; remove it "
                "and run again to download it, or replace it by hand"
            )


def _idx(class_name: str) -> Callable[..., tuple[Part, Part]]:
    def read(root: Path, *, download: bool) -> tuple[Part, Part]:
        import torchvision

        def part(train: bool) -> Part:
            read = getattr(torchvision.datasets, class_name)(root, train=train, download=download)
            return read.data.numpy()[:, None], read.targets.numpy().astype(np.int64)

        return part(True), part(False)

    return read


def _cifar(class_name: str) -> Callable[..., tuple[Part, Part]]:
    def read(root: Path, *, download: bool) -> tuple[Part, Part]:
        import torchvision

        def part(train: bool) -> Part:
            read = getattr(torchvision.datasets, class_name)(root, train=train, download=download)
            return read.data.transpose(0, 3, 1, 2), np.array(read.targets, dtype=np.int64)

        return part(True), part(False)

    return read


def _svhn(root: Path, *, download: bool) -> tuple[Part, Part]:
    import torchvision

    def part(split: str) -> Part:
        read = torchvision.datasets.SVHN(root, split=split, download=download)
        return read.data, read.labels

    return part("train"), part("test")


READERS: dict[str, Callable[..., Any]] = {
    "mnist": _idx("MNIST"),
    "fashion-mnist": _idx("FashionMNIST"),
    "cifar10": _cifar("CIFAR10"),
    "cifar100": _cifar("CIFAR100"),
    "svhn": _svhn,
}
"""root, download -> (train, test), by torchvision's class of that data set."""
