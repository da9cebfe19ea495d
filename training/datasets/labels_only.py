"""A data set whose images nobody will look at: a collapsed network gives the same logits for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.datasets.contract import Batch, Dataset, Examples


@dataclass(frozen=True, kw_only=True)
class LabelsOnly:
    """A split that hands out the labels of its batches, and images of no size."""

    split: Examples

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

    def to(self, device: torch.device) -> LabelsOnly:
        """As `Examples.to`."""
        return LabelsOnly(split=self.split.to(device))

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """As `Examples.batches`, images (b, 0)."""
        labels = self.labels
        for batch in (labels if order is None else labels[order.to(labels.device)]).split(batch_size):
            yield torch.empty(len(batch), 0, device=labels.device), batch


def without_images(dataset: Dataset) -> Dataset:
    """`dataset` with labels only."""
    train, validation, test = (LabelsOnly(split=one) for one in (dataset.train, dataset.validation, dataset.test))
    return replace(dataset, train=train, validation=validation, test=test)
