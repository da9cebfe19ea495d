"""From the images of published files to a data set in memory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from training.datasets.augment import Augmentation
from training.datasets.cache import Arrays
from training.datasets.checks import check_every_class, check_labels
from training.datasets.contract import Dataset, Normalisation, Split
from training.datasets.table import DATASETS
from training.seeds import generator

SPLIT_SEED = 0
"""Part of the data set, not of a trial: every trial sees the same split."""


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
    num_classes = DATASETS[name].num_classes or 0
    for part, of_part in (("train", labels), ("test", test[1])):
        where = f"data set {name}: {part}"
        check_labels(torch.from_numpy(of_part), num_classes, where)
        check_every_class(torch.from_numpy(of_part), num_classes, f"{where}: replace its files by the published ones")
    kept, apart = set_apart(len(labels), num_validation)
    return Arrays(
        images=np.concatenate([images[kept], images[apart], test[0]]),
        labels=np.concatenate([labels[kept], labels[apart], test[1]]),
        sizes=(len(kept), len(apart), len(test[1])),
    )


def set_apart(num_train: int, num_validation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training images that stay, and of those that become the validation split, both ascending.

    Raises ValueError for a number that is none, or that leaves no training image.
    """
    if isinstance(num_validation, bool) or not isinstance(num_validation, int) or not 0 <= num_validation < num_train:
        raise ValueError(f"num_validation {num_validation!r}: expected a whole number from 0 to {num_train - 1}")
    order = torch.randperm(num_train, generator=generator(SPLIT_SEED, "validation split")).numpy()
    return np.sort(order[num_validation:]), np.sort(order[:num_validation])
