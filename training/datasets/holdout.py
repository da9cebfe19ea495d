"""How much is trained on, and how much is held out to select an epoch by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

import torch
from torch import Tensor

from training.config import OWN_VALIDATION
from training.datasets.contract import Batch, Dataset, Examples, Split
from training.seeds import generator

SPLIT_SEED = 0
"""Part of the data set, not of a trial: all trials hold out the same images, so that they can be compared."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some examples of another split, which stays where it is: nothing is copied."""

    whole: Examples
    index: Tensor
    """(n,), int64, on the CPU: which examples of the whole, in order."""

    @property
    def labels(self) -> Tensor:
        """As `Examples.labels`."""
        return self.whole.labels[self.index.to(self.whole.labels.device)]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As `Examples.image_shape`."""
        return self.whole.image_shape

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device) -> Part:
        """As `Examples.to`."""
        return replace(self, whole=self.whole.to(device))

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """As `Examples.batches`."""
        index = self.index if order is None else self.index[order.cpu()]
        return self.whole.batches(index, batch_size, augment)


def hold_out(dataset: Dataset, validation: str) -> Dataset:
    """`dataset` with as much held out as `DatasetConfig.validation` says, drawn without regard to class.

    Drawn from the training images and the data set's own validation images together. What is left keeps its order.
    Raises ValueError where nothing would be left to train on.
    """
    if validation == OWN_VALIDATION:
        return dataset
    pool = _together(dataset)
    count = held_out_count(validation, len(pool))
    if count and count >= len(pool):
        raise ValueError(
            f"validation {validation}: there are {len(pool)} images to train and validate on: hold out fewer"
        )
    order = torch.randperm(len(pool), generator=generator(SPLIT_SEED, "validation split"))
    held_out, kept = order[:count].sort().values, order[count:].sort().values
    train = Part(whole=pool, index=kept) if count else pool
    return replace(dataset, train=train, validation=Part(whole=pool, index=held_out))


def _together(dataset: Dataset) -> Examples:
    """Training and own validation images as one split; copied only where both hold some."""
    train, validation = dataset.train, dataset.validation
    if not len(validation):
        return train
    if not isinstance(train, Split) or not isinstance(validation, Split):
        raise ValueError("validation: this data set is read from disk with a validation split of its own: write own")
    images = torch.cat([train.images, validation.images])
    return replace(train, images=images, labels=torch.cat([train.labels, validation.labels]))


def held_out_count(validation: str, num_images: int) -> int:
    """Images held out of `num_images`: the count given, or the fraction below 1 of them, rounded half to even.

    >>> held_out_count("5000", 50000), held_out_count("0.1", 1297), held_out_count("0", 9)
    (5000, 130, 0)
    """
    amount = Decimal(validation)
    return int((amount if amount >= 1 else amount * num_images).to_integral_value(ROUND_HALF_EVEN))
