"""Fewer training images: what a data set says of a network when there is little of it, or little time.

Validation and test images stay all there are, so that accuracies compare with those of the whole.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from training.datasets.contract import Dataset
from training.datasets.holdout import SPLIT_SEED, Part
from training.seeds import generator


def subset(dataset: Dataset, num_train: int) -> Dataset:
    """`dataset` with `num_train` of its training images, in their order, drawn without regard to class.

    The draw is part of the data set, not of a trial: all seeds train on the same images, and a smaller number's are
    among a larger one's. Raises ValueError where that is no whole number from 1 to all there are.
    """
    whole = dataset.train
    if type(num_train) is not int or not 1 <= num_train <= len(whole):
        raise ValueError(f"num_train {num_train!r}: expected a whole number from 1 to {len(whole)}, all there are")
    drawn = torch.randperm(len(whole), generator=generator(SPLIT_SEED, "training subset"))[:num_train]
    return replace(dataset, train=Part(whole=whole, index=drawn.sort().values))
