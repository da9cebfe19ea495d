"""The first images of CIFAR-100 as a data set of their own; the digits, enlarged to 32x32, where it is absent."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from training.datasets import digits
from training.datasets.augment import Augmentation
from training.datasets.contract import Dataset, Normalisation, Split
from training.datasets.table import DATASETS
from training.datasets.torchvision_sets import cifar100


def few_images(*, data_root: Path, num_train: int, num_test: int) -> Dataset:
    """Real images, uint8 (n, 3, 32, 32), with CIFAR's augmentation and nothing held out."""
    whole = cifar100(data_root=data_root) if has_cifar100(data_root) else _enlarged_digits()

    def first(split: object, count: int) -> Split:
        assert isinstance(split, Split)
        return Split(
            images=split.images[:count].clone(),
            labels=split.labels[:count].clone(),
            normalisation=split.normalisation,
            augmentation=split.augmentation,
        )

    return Dataset(
        train=first(whole.train, num_train),
        validation=first(whole.validation, 0),
        test=first(whole.test, num_test),
        num_classes=whole.num_classes,
    )


def has_cifar100(data_root: Path) -> bool:
    """Whether its files are there."""
    return all((data_root / file).exists() for file in DATASETS["cifar100"].files)


def _enlarged_digits() -> Dataset:
    raw = digits.load()

    def enlarged(split: object) -> Split:
        assert isinstance(split, Split)
        return Split(
            images=_as_bytes(split.images),
            labels=split.labels,
            normalisation=Normalisation(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
            augmentation=Augmentation(),
        )

    return Dataset(
        train=enlarged(raw.train), validation=enlarged(raw.validation), test=enlarged(raw.test), num_classes=10
    )


def _as_bytes(images: Tensor) -> Tensor:
    low, high = images.min(), images.max()
    large = F.interpolate((images - low) / (high - low), size=32, mode="nearest")
    return (large * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
