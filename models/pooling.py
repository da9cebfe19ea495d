"""Average pooling to a fixed size, by modules whose gradient repeats to the bit on a GPU wherever there are such."""

from __future__ import annotations

from torch import nn


def average_pooling(to: int, height: int, width: int) -> nn.Module:
    """The mean over (height, width) in `to` x `to` windows, as `nn.AdaptiveAvgPool2d(to)`.

    That module's gradient adds up in any order on a GPU, and deterministic training refuses it. So it is left out where
    it changes nothing, as in VGG at 224x224, and a plain mean where windows are of one size.
    """
    if height % to or width % to:
        return nn.AdaptiveAvgPool2d(to)
    if (height, width) == (to, to):
        return nn.Identity()
    return nn.AvgPool2d((height // to, width // to))
