"""Images of another size than they are kept in: networks for large images on small ones.

Scaled a batch at a time, where it is needed: in memory they stay as published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.datasets.contract import Batch, Dataset, Examples


def resized(dataset: Dataset, size: int) -> Dataset:
    """`dataset` with images of size x size pixels. Raises ValueError where that is no whole number of at least 1."""
    if type(size) is not int or size < 1:
        raise ValueError(f"size {size!r}: expected the pixels of a side, a whole number of at least 1")
    train, validation, test = (
        Resized(examples=part, size=size) for part in (dataset.train, dataset.validation, dataset.test)
    )
    return replace(dataset, train=train, validation=validation, test=test)


@dataclass(frozen=True, kw_only=True)
class Resized:
    """A split whose normalised, augmented images are scaled bilinearly; smaller ones are averaged over, not sampled."""

    examples: Examples
    size: int

    @property
    def labels(self) -> Tensor:
        """As `Examples.labels`."""
        return self.examples.labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As `Examples.image_shape`."""
        return self.examples.image_shape[0], self.size, self.size

    def __len__(self) -> int:
        return len(self.examples)

    def to(self, device: torch.device) -> Resized:
        """As `Examples.to`."""
        return replace(self, examples=self.examples.to(device))

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """As `Examples.batches`."""
        for images, labels in self.examples.batches(order, batch_size, augment):
            yield interpolate(images, size=(self.size, self.size), mode="bilinear", antialias=True), labels
