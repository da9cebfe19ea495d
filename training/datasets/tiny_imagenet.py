"""Tiny ImageNet: the folder as published, decoded once into memory (1.35 GB as bytes).

The labels of its test images were never published: as everywhere, the published `val` is the test split. `val` is flat;
val_annotations.txt says which class each image is of. Mean and deviation as in the SynFlow authors' code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.datasets.augment import Augmentation
from training.datasets.cache import Arrays, cached
from training.datasets.checks import require_files
from training.datasets.contract import Dataset, Normalisation
from training.datasets.decoded import Part, checked, in_memory
from training.datasets.image_files import image_names, open_image
from training.datasets.root import cache_folder
from training.datasets.table import DATASETS

NAME = "tiny-imagenet"
SIDE = 64
IMAGES_PER_CLASS = {"train": 500, "val": 50}


def load(data_root: Path) -> Dataset:
    """100,000 training and 10,000 test images."""
    num_classes = DATASETS[NAME].num_classes or 0

    def build() -> Arrays:
        require_files(NAME, data_root, "Unpack tiny-imagenet-200.zip")
        folder = data_root / "tiny-imagenet-200"
        classes = _classes(folder / "wnids.txt", num_classes)
        return checked(_train(folder / "train", classes), _val(folder / "val", classes), NAME)

    arrays = cached(cache_folder(data_root), NAME, build)
    normalisation = Normalisation(mean=(0.480, 0.448, 0.397), std=(0.276, 0.269, 0.282))
    return in_memory(arrays, num_classes, normalisation, Augmentation())


def _classes(path: Path, num_classes: int) -> list[str]:
    """WordNet ids in alphabetical order, as folders of classes are numbered everywhere."""
    classes = sorted(path.read_text().split())
    if len(set(classes)) != num_classes:
        raise ValueError(f"{path}: {len(set(classes))} classes, expected {num_classes}: unpack the archive again")
    return classes


def _train(folder: Path, classes: list[str]) -> Part:
    paths, labels = [], []
    for label, name in enumerate(classes):
        files = image_names(folder / name / "images")
        if len(files) != IMAGES_PER_CLASS["train"]:
            raise ValueError(
                f"{folder / name / 'images'}: {len(files)} images, expected {IMAGES_PER_CLASS['train']}: unpack the "
                "archive again"
            )
        paths += [folder / name / "images" / file for file in files]
        labels += [label] * len(files)
    return _decode(paths), np.array(labels, dtype=np.int64)


def _val(folder: Path, classes: list[str]) -> Part:
    annotations = folder / "val_annotations.txt"
    number = {name: label for label, name in enumerate(classes)}
    paths, labels = [], []
    for line, text in enumerate(annotations.read_text().splitlines(), start=1):
        file, name = text.split("\t")[:2] if "\t" in text else (text, "")
        if name not in number:
            raise ValueError(f"{annotations}:{line}: class {name!r} is not one of wnids.txt: unpack the archive again")
        paths.append(folder / "images" / file)
        labels.append(number[name])
    expected = IMAGES_PER_CLASS["val"] * len(classes)
    if len(paths) != expected:
        raise ValueError(f"{annotations}: {len(paths):,} lines, expected {expected:,}: unpack the archive again")
    return _decode(paths), np.array(labels, dtype=np.int64)


def _decode(paths: list[Path]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(n, 3, 64, 64); some of the files are grey and become colour."""
    images = np.empty((len(paths), 3, SIDE, SIDE), dtype=np.uint8)
    for index, path in enumerate(paths):
        pixels = np.asarray(open_image(path))
        if pixels.shape != (SIDE, SIDE, 3):
            raise ValueError(f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels, expected {SIDE}x{SIDE}: replace it")
        images[index] = pixels.transpose(2, 0, 1)
    return images
