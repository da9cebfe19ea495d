"""What a data set is: normalised tensors in memory, split once and for all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and labels of one part of a data set."""

    images: Tensor
    """(n, channels, height, width), float32, normalised."""
    labels: Tensor
    """(n,), int64, in [0, classes)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Split:
        """The examples at `index`, in its order."""
        return Split(images=self.images[index], labels=self.labels[index])

    def to(self, device: torch.device) -> Split:
        """The same split on a device."""
        return Split(images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set's disjoint splits."""

    train: Split
    validation: Split
    """May be empty: then nothing can be selected on it."""
    test: Split
    num_classes: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device) -> Dataset:
        """The same data set on a device."""
        return Dataset(
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
            num_classes=self.num_classes,
        )
