"""scikit-learn's handwritten digits: real images that travel inside the package."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from training.datasets.contract import Dataset, Split

NUM_VALIDATION, NUM_TEST = 200, 500
SPLIT_SEED = 0
"""Part of the data set, not of a trial: every trial sees the same split."""


def load() -> Dataset:
    """1,797 images of 8x8 grey values 0 to 16, stratified by class into 1,097 train, 200 validation and 500 test.

    Normalised by the training images' mean and standard deviation.
    """
    raw = load_digits()
    images = torch.from_numpy(raw.images).float().unsqueeze(1)
    labels = torch.from_numpy(raw.target).long()
    rest, test = train_test_split(
        torch.arange(len(labels)).numpy(), test_size=NUM_TEST, stratify=raw.target, random_state=SPLIT_SEED
    )
    train, validation = train_test_split(
        rest, test_size=NUM_VALIDATION, stratify=raw.target[rest], random_state=SPLIT_SEED
    )
    mean, std = images[train].mean(), images[train].std()
    images = (images - mean) / std

    def split(index: NDArray[np.int64]) -> Split:
        return Split(images=images[index].contiguous(), labels=labels[index].contiguous())

    return Dataset(train=split(train), validation=split(validation), test=split(test), num_classes=10)
