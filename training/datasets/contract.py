"""What a data set is: disjoint splits that hand out normalised batches, wherever their images are kept.

A split in memory (`Split`) keeps uint8 images, one copy a node, and normalises a batch at a time on its device. Float
images are taken as they are: a user's own, or sets too small to matter. Data sets larger than memory are read as they
are asked for (`training.datasets.streamed`); training and evaluation see no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from training.datasets.augment import Augmentation

Batch = tuple[Tensor, Tensor]
"""Images (b, channels, height, width), normalised, and labels (b,), int64, both on the split's device."""


class Examples(Protocol):
    """One part of a data set: what training, evaluation and the prune set ask of it."""

    @property
    def labels(self) -> Tensor:
        """(n,), int64, in [0, classes), on the split's device."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image as a network sees it."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> Examples:
        """The same split, handing out batches on a device."""

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """Batches of the images that `order` names, (m,) int64, in that order; None is all, as stored.

        With `augment`, a seed, the data set's own augmentation is applied: what happens to an image depends on the
        seed and the image's index alone. Raises ValueError for a data set that has none.
        """


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """(image / full_scale - mean) / std, channel by channel: torchvision's ToTensor and Normalize, to the bit."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    full_scale: float = 255.0

    def __call__(self, images: Tensor) -> Tensor:
        """Float32 of uint8 images (b, channels, height, width).

        By numbers, channel by channel: tensors of them would be copied to the device in every step.
        """
        normal = images.float().div_(self.full_scale)
        for channel, mean, std in zip(normal.unbind(1), self.mean, self.std, strict=True):
            channel.sub_(mean).div_(std)
        return normal


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and labels in memory."""

    images: Tensor
    """(n, channels, height, width): uint8 with a normalisation, or floats that are normalised already."""
    labels: Tensor
    """(n,), int64, in [0, classes)."""
    normalisation: Normalisation | None = None
    augmentation: Augmentation | None = None
    """What `augment` does to training images."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device) -> Split:
        """The same split on a device; on the CPU no copy is made."""
        return Split(
            images=self.images.to(device),
            labels=self.labels.to(device),
            normalisation=self.normalisation,
            augmentation=self.augmentation,
        )

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """As `Examples.batches`."""
        if order is None and augment is None:
            for images, labels in zip(self.images.split(batch_size), self.labels.split(batch_size), strict=True):
                yield self._normalised(images), labels
            return
        placement = None
        if augment is not None:
            placement = self._augmentation().draw(len(self), augment).to(self.labels.device)
        order = torch.arange(len(self)) if order is None else order
        for batch in order.to(self.labels.device).split(batch_size):
            images = self.images.index_select(0, batch)  # ten times as fast as images[batch] on a CPU
            if placement is not None:
                images = self._augmentation().apply(images, placement[batch])
            yield self._normalised(images), self.labels[batch]

    def _normalised(self, images: Tensor) -> Tensor:
        return self.normalisation(images) if self.normalisation else images

    def _augmentation(self) -> Augmentation:
        if self.augmentation is None:
            raise ValueError("augment: this data set has no augmentation of its own: train without augment")
        return self.augmentation


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set's disjoint splits."""

    train: Examples
    validation: Examples
    """May be empty: then nothing can be selected on it."""
    test: Examples
    num_classes: int
    content_hash: str = ""
    """Checksum of the images and labels, recorded with each trial. "" lets `load_dataset` compute it."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return self.train.image_shape

    def to(self, device: torch.device) -> Dataset:
        """The same data set on a device."""
        return Dataset(
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
            num_classes=self.num_classes,
            content_hash=self.content_hash,
        )
