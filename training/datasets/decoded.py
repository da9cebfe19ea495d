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


def checked(train: Part, test: Part, name: str) -> Arrays:
    """Training and test images as they are kept. Raises ValueError for labels out of range and empty classes."""
    num_classes = DATASETS[name].num_classes or 0
    for part, (_, labels) in (("train", train), ("test", test)):
        where = f"data set {name}: {part}"
        check_labels(torch.from_numpy(labels), num_classes, where)
        check_every_class(torch.from_numpy(labels), num_classes, f"{where}: replace its files by the published ones")
    return Arrays(
        images=np.concatenate([train[0], test[0]]),
        labels=np.concatenate([train[1], test[1]]),
        sizes=(len(train[1]), 0, len(test[1])),
    )
