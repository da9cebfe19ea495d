"""Pad, crop and mirror whole batches on the device that holds them, uint8 or float.

One gather a batch: many times as fast as torchvision's transforms of PIL images (`python -m benchmarks.augmentation`),
with the same pixels for the same crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Placement:
    """Where each of n images is cropped, and which are mirrored."""

    top: Tensor
    """(n,), int16, as a whole split's are held: rows of the padded image above the crop, 0 to 2 * padding."""
    left: Tensor
    """(n,), int16."""
    mirrored: Tensor
    """(n,), bool: left and right exchanged, after the crop."""

    def __getitem__(self, batch: Tensor) -> Placement:
        """The placement of some of the images."""
        return Placement(self.top[batch], self.left[batch], self.mirrored[batch])

    def to(self, device: torch.device) -> Placement:
        """The same placement on a device."""
        return Placement(self.top.to(device), self.left.to(device), self.mirrored.to(device))


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Zero-pad each side, crop back to the image's size at a random place, and mirror half of the images."""

    padding: int = 4
    """Pixels."""
    mirror: bool = True

    def draw(self, num_images: int, seed: int) -> Placement:
        """A placement for each image of a split: a function of (seed, the image's index), on any device."""
        source = torch.Generator().manual_seed(seed)
        top, left = torch.randint(2 * self.padding + 1, (2, num_images), generator=source, dtype=torch.int16)
        coin = torch.randint(2, (num_images,), generator=source, dtype=torch.bool)
        return Placement(top, left, coin & self.mirror)

    def apply(self, images: Tensor, placement: Placement) -> Tensor:
        """Crops (b, c, h, w) of images (b, c, h, w), each at its place."""
        num, channels, height, width = images.shape
        wide = width + 2 * self.padding
        padded = images.new_zeros(num, channels, height + 2 * self.padding, wide)
        padded[:, :, self.padding : self.padding + height, self.padding : self.padding + width] = images
        ascending = torch.arange(width, device=images.device)
        columns = torch.where(placement.mirrored[:, None], width - 1 - ascending, ascending) + placement.left[:, None]
        rows = placement.top[:, None] + torch.arange(height, device=images.device)
        window = (rows[:, :, None] * wide + columns[:, None, :]).view(num, 1, height * width)
        return padded.flatten(2).gather(2, window.expand(-1, channels, -1)).view(images.shape)
