"""How much is trained on, and how much is held out to select an epoch by."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

import torch

from training.config import OWN_VALIDATION
from training.datasets.contract import Dataset, Split
from training.seeds import generator

SPLIT_SEED = 0
"""Part of the data set, not of a trial: all trials hold out the same images, so that they can be compared."""


def hold_out(dataset: Dataset, validation: str) -> Dataset:
    """`dataset` with as much held out as `DatasetConfig.validation` says, drawn without regard to class.

    Drawn from the training images and the data set's own validation images together. What is left keeps its order.
    Raises ValueError where nothing would be left to train on.
    """
    if validation == OWN_VALIDATION:
        return dataset
    parts = [part for part in (dataset.train, dataset.validation) if len(part)]
    pool = Split(images=torch.cat([part.images for part in parts]), labels=torch.cat([part.labels for part in parts]))
    count = held_out_count(validation, len(pool))
    if count >= len(pool):
        raise ValueError(
            f"validation {validation}: there are {len(pool)} images to train and validate on: hold out fewer"
        )
    order = torch.randperm(len(pool), generator=generator(SPLIT_SEED, "validation split")).to(pool.labels.device)
    held_out, kept = order[:count].sort().values, order[count:].sort().values
    return replace(dataset, train=pool.take(kept), validation=pool.take(held_out))


def held_out_count(validation: str, num_images: int) -> int:
    """Images held out of `num_images`: the count given, or the fraction below 1 of them, rounded half to even.

    >>> held_out_count("5000", 50000), held_out_count("0.1", 1297), held_out_count("0", 9)
    (5000, 130, 0)
    """
    amount = Decimal(validation)
    return int((amount if amount >= 1 else amount * num_images).to_integral_value(ROUND_HALF_EVEN))
