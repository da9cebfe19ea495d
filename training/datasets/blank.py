"""No images at all, of a shape: for pruners that look at none, at sizes of data sets that nobody has at hand.

Random, magnitude and SynFlow prune a network for ImageNet without ImageNet. Whatever asks for an image is refused.
"""

from __future__ import annotations

import torch

from training.datasets.contract import Dataset, Split


def load(shape: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000) -> Dataset:
    """Three empty splits of images of `shape` (channels, height, width). Raises ValueError for sizes below 1."""
    if len(shape) != 3 or min(shape) < 1 or num_classes < 1:
        raise ValueError(
            f"blank: shape {list(shape)}, num_classes {num_classes}: expected three sizes and a number of at least 1"
        )
    nothing = Split(images=torch.empty(0, *shape), labels=torch.empty(0, dtype=torch.int64))
    return Dataset(train=nothing, validation=nothing, test=nothing, num_classes=num_classes)
