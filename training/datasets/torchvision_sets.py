"""MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 and SVHN: files as published, read by torchvision, kept as uint8.

The published files are fetched and decoded once, under a lock; after that every worker maps the same decoded copy
(`training.datasets.cache`) and torchvision is not even imported. Means and deviations are those of the training images
as customarily used: MNIST's from pytorch/examples, SVHN's as common in the literature, the CIFARs' from the SynFlow
authors' code, Fashion-MNIST's computed here. Only the CIFARs and SVHN are augmented, by zero-padding of 4, random crops
and, house numbers excepted, mirroring. With `size`, images are scaled to size x size after that; with `num_train`
so many of the training images are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.augment import Augmentation
from training.datasets.cache import Arrays, cached
from training.datasets.contract import Dataset, Normalisation
from training.datasets.decoded import Part, checked, in_memory
from training.datasets.resized import resized
from training.datasets.root import HOW_TO_NAME_A_ROOT, cache_folder
from training.datasets.subset import subset
from training.datasets.table import DATASETS


def mnist(data_root: Path, size: int | None = None, num_train: int | None = None) -> Dataset:
    """60,000 training and 10,000 test images."""
    return _load("mnist", data_root, size, num_train, Normalisation(mean=(0.1307,), std=(0.3081,)))


def fashion_mnist(data_root: Path, size: int | None = None, num_train: int | None = None) -> Dataset:
    """60,000 training and 10,000 test images."""
    return _load("fashion-mnist", data_root, size, num_train, Normalisation(mean=(0.2860,), std=(0.3530,)))


def cifar10(data_root: Path, size: int | None = None, num_train: int | None = None) -> Dataset:
    """50,000 training and 10,000 test images."""
    normalisation = Normalisation(mean=(0.491, 0.482, 0.447), std=(0.247, 0.243, 0.262))
    return _load("cifar10", data_root, size, num_train, normalisation, Augmentation())


def cifar100(data_root: Path, size: int | None = None, num_train: int | None = None) -> Dataset:
    """50,000 training and 10,000 test images."""
    normalisation = Normalisation(mean=(0.507, 0.487, 0.441), std=(0.267, 0.256, 0.276))
    return _load("cifar100", data_root, size, num_train, normalisation, Augmentation())


def svhn(data_root: Path, size: int | None = None, num_train: int | None = None) -> Dataset:
    """73,257 training and 26,032 test images."""
    normalisation = Normalisation(mean=(0.4377, 0.4438, 0.4728), std=(0.1980, 0.2010, 0.1970))
    return _load("svhn", data_root, size, num_train, normalisation, Augmentation(mirror=False))


def _load(
    name: str,
    root: Path,
    size: int | None,
    num_train: int | None,
    normalisation: Normalisation,
    augmentation: Augmentation | None = None,
) -> Dataset:
    def build() -> Arrays:
        fetch_missing(name, root, lambda: READERS[name](root, download=True))
        check_files(name, root)
        train, test = READERS[name](root, download=False)
        return checked(train, test, name)

    arrays = cached(cache_folder(root), name, build)
    dataset = in_memory(arrays, DATASETS[name].num_classes or 0, normalisation, augmentation)
    dataset = dataset if num_train is None else subset(dataset, num_train)
    return dataset if size is None else resized(dataset, size)


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
