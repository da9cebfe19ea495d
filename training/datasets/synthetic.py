"""Generated images of any shape: for benchmarks, and for tests of what a network can learn at all.

Every class has a pattern of its own under noise. Every worker makes its own copy: there is nothing to read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.datasets.augment import Augmentation
from training.datasets.contract import Dataset, Normalisation, Split
from training.seeds import generator

SEED = 0
"""Part of the data set: options are the only thing that changes it."""


def load(
    shape: tuple[int, int, int] = (3, 32, 32),
    num_classes: int = 10,
    num_train: int = 1000,
    num_validation: int = 0,
    num_test: int = 500,
) -> Dataset:
    """uint8 images of `shape` (channels, height, width); classes take turns. Raises ValueError for sizes below 1."""
    sizes = {"num_classes": num_classes, "num_train": num_train, "num_test": num_test}
    if len(shape) != 3 or min(shape) < 1 or num_validation < 0 or min(sizes.values()) < 1:
        raise ValueError(
            f"synthetic: shape {list(shape)}, {sizes}, num_validation {num_validation}: expected three sizes and "
            "numbers of at least 1, of validation images at least 0"
        )
    channels, height, width = shape
    pattern = torch.randint(96, 160, (num_classes, *shape), generator=generator(SEED, "pattern"), dtype=torch.int16)

    def split(purpose: str, num_images: int) -> Split:
        source = generator(SEED, purpose)
        labels = torch.arange(num_images) % num_classes
        images = torch.empty(num_images, channels, height, width, dtype=torch.uint8)
        for some in torch.arange(num_images).split(1024):
            images[some] = _noisy(pattern[labels[some]], source)
        return Split(
            images=images,
            labels=labels,
            normalisation=Normalisation(mean=(0.5,) * channels, std=(0.18,) * channels),
            augmentation=Augmentation(),
        )

    return Dataset(
        train=split("train", num_train),
        validation=split("validation", num_validation),
        test=split("test", num_test),
        num_classes=num_classes,
    )


def _noisy(pattern: Tensor, source: torch.Generator) -> Tensor:
    """Noise uniform in [-72, 72], inside the range of a byte without clipping."""
    noise = torch.randint(-72, 73, pattern.shape, generator=source, dtype=torch.int16)
    return (pattern + noise).to(torch.uint8)
