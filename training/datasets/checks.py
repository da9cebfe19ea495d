"""What must hold of any data set before a trial sees it, and errors that say where it does not."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from training.datasets.contract import Dataset, Examples, Split
from training.datasets.root import HOW_TO_NAME_A_ROOT
from training.datasets.table import DATASETS


def check_dataset(dataset: Dataset, name: str) -> None:
    """Raise ValueError, naming the data set and the split, for images or labels that no training could use."""
    for part in ("train", "validation", "test"):
        split: Examples = getattr(dataset, part)
        where = f"data set {name}: {part}"
        if isinstance(split, Split):
            _check_images(split, where)
        check_labels(split.labels, dataset.num_classes, where)
        if split.image_shape != dataset.input_shape:
            raise ValueError(f"{where}: images {split.image_shape}, expected {dataset.input_shape} as in train")


def require_files(name: str, root: Path, how_to_get: str) -> None:
    """Raise ValueError, saying what is expected where, unless everything that a data set reads is there."""
    missing = [file for file in DATASETS[name].files if not (root / file).exists()]
    if missing:
        raise ValueError(
            f"data set {name} is not in {root}: missing there: {', '.join(missing)}. {how_to_get} there, or name the "
            f"folder that holds it by {HOW_TO_NAME_A_ROOT}"
        )


def check_labels(labels: Tensor, num_classes: int, where: str) -> None:
    """Raise ValueError for labels that are no int64 in [0, num_classes)."""
    if labels.dtype != torch.int64 or labels.dim() != 1:
        raise ValueError(
            f"{where}: labels are {labels.dtype} {tuple(labels.shape)}: expected torch.int64, one an image"
        )
    wrong = ((labels < 0) | (labels >= num_classes)).nonzero()
    if len(wrong):
        first = int(wrong[0])
        raise ValueError(
            f"{where}: label {int(labels[first])} of image {first} is out of range: expected 0 to {num_classes - 1} "
            f"for {num_classes} classes ({len(wrong):,} labels are wrong)"
        )


def check_every_class(labels: Tensor, num_classes: int, where: str) -> None:
    """Raise ValueError where a class has no image: a set that was not unpacked whole. `where` ends in the remedy."""
    empty = (torch.bincount(labels, minlength=num_classes) == 0).nonzero().flatten().tolist()
    if empty:
        shown = ", ".join(map(str, empty[:10])) + (", ..." if len(empty) > 10 else "")
        raise ValueError(f"{len(empty):,} of {num_classes:,} classes have no image ({shown}): {where}")


def _check_images(split: Split, where: str) -> None:
    images = split.images
    if images.dim() != 4 or len(images) != len(split.labels):
        raise ValueError(
            f"{where}: images {tuple(images.shape)} for {len(split.labels)} labels: expected (n, channels, height, "
            "width) and n labels"
        )
    if images.dtype == torch.uint8 and split.normalisation is None:
        raise ValueError(f"{where}: uint8 images need a normalisation: give one, or hand over normalised floats")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"{where}: images are {images.dtype}: expected uint8, or floats that are normalised")
    if images.is_floating_point() and not bool(images.isfinite().all()):
        raise ValueError(f"{where}: some pixels are not finite: remove or repair those images")
