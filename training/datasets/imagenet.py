"""ImageNet (ILSVRC 2012): folders of classes under train/ and val/, read from their files as they are asked for.

The published `val` is the test split. Mean and deviation: torchvision's.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from training.datasets.checks import require_files
from training.datasets.checksum import checksum
from training.datasets.contract import Dataset, Normalisation
from training.datasets.image_files import class_names, image_names
from training.datasets.streamed import StreamedSplit
from training.datasets.table import DATASETS

NAME = "imagenet"
NORMALISATION = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def load(data_root: Path) -> Dataset:
    """1,281,167 training and 50,000 test images.

    The content hash is one of names and labels: reading 150 GB for it would take longer than many a trial.
    """
    num_classes = DATASETS[NAME].num_classes or 0
    require_files(NAME, data_root, "Unpack it, one folder a class,")
    classes = class_names(data_root / NAME / "train", num_classes)
    test = _split(data_root / NAME / "val", classes)
    train = _split(data_root / NAME / "train", classes)
    return Dataset(
        train=train,
        validation=replace(train, names=train.names[:0], labels=train.labels[:0]),
        test=test,
        num_classes=num_classes,
        content_hash=checksum(*(array for part in (train, test) for array in (part.names, part.labels.numpy()))),
    )


def _split(folder: Path, classes: list[str]) -> StreamedSplit:
    """All images of the folders of classes, class by class. Raises ValueError for other folders, and for empty ones."""
    if set(class_names(folder, len(classes))) != set(classes):
        raise ValueError(f"{folder}: its folders are not those of train: unpack the data set again, one folder a class")
    names, labels = [], []
    for label, name in enumerate(classes):
        files = image_names(folder / name)
        names += [os.fsencode(f"{name}/{file}") for file in files]
        labels += [label] * len(files)
    return StreamedSplit(folder=folder, names=np.array(names), labels=torch.tensor(labels), normalisation=NORMALISATION)
