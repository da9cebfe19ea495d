"""A data set whose images nobody will look at: a collapsed network gives the same logits for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from training.datasets.contract import Batch, Dataset, Examples


@dataclass(frozen=True, kw_only=True)
class LabelsOnly:
    """A split that hands out how often each class occurs in its batches, and images of no size."""

    split: Examples
    num_classes: int

    @property
    def labels(self) -> Tensor:
        """As `Examples.labels`."""
        return self.split.labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As `Examples.image_shape`."""
        return self.split.image_shape

    def __len__(self) -> int:
        return len(self.split)

    @cached_property
    def counts(self) -> Tensor:
        """How often each class occurs, (classes,), int64."""
        return torch.bincount(self.labels, minlength=self.num_classes)

    def to(self, device: torch.device) -> LabelsOnly:
        """As `Examples.to`."""
        return LabelsOnly(split=self.split.to(device), num_classes=self.num_classes)

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """As `Examples.batches`; images (b, 0), and in place of labels how often each class occurs, (classes,)."""
        labels = self.labels if order is None else self.labels.index_select(0, order.to(self.labels.device))
        num_batches = -(-len(labels) // batch_size)
        place = torch.arange(len(labels), device=labels.device).div_(batch_size, rounding_mode="floor")
        flat = torch.bincount(labels + place.mul_(self.num_classes), minlength=num_batches * self.num_classes)
        counts = flat.view(num_batches, self.num_classes).double()
        images = torch.empty(min(batch_size, len(labels)), 0, device=labels.device)
        for number, of_batch in enumerate(counts.unbind()):
            yield images[: len(labels) - number * batch_size], of_batch


def without_images(dataset: Dataset) -> Dataset:
    """`dataset` with labels only."""
    train, validation, test = (
        LabelsOnly(split=one, num_classes=dataset.num_classes)
        for one in (dataset.train, dataset.validation, dataset.test)
    )
    return replace(dataset, train=train, validation=validation, test=test)
