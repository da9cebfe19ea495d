"""A split that is read from its files as it is asked for: data sets larger than memory.

Worker processes decode, crop and hand over bytes; the trial's own process normalises them on its device. What an image
looks like depends on (augment seed, its index) alone, never on which process reads it or how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.datasets.contract import Batch, Normalisation
from training.datasets.image_files import open_image
from training.seeds import global_seed

READERS_VARIABLE = "PRUNESWEEP_READERS"
MOST_READERS = 8


@dataclass(frozen=True, kw_only=True)
class StreamedSplit:
    """Images in files and their labels."""

    folder: Path
    names: NDArray[np.bytes_]
    """(n,), paths below `folder`: bytes in one array, because processes that share a list of strings soon copy it."""
    labels: Tensor
    """(n,), int64, in [0, classes)."""
    normalisation: Normalisation
    side: int = 224
    """Height and width of the crops."""
    resized: int = 256
    """The shorter side of an image before its centre is cut out, where it is not augmented."""
    num_readers: int | None = None
    """Processes that read and decode; 0 is the trial's own. None: $PRUNESWEEP_READERS, else its cores, at most 8."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return 3, self.side, self.side

    def to(self, device: torch.device) -> StreamedSplit:
        """The same split, handing out batches on a device."""
        return replace(self, labels=self.labels.to(device))

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """As `training.datasets.contract.Examples.batches`.

        Without `augment`: the shorter side resized, the centre cut out. With it: a random part of 8 to 100 % of the
        area, resized, mirrored half of the time (torchvision's RandomResizedCrop and RandomHorizontalFlip). Raises
        ValueError, naming the file, for one that is missing or damaged.
        """
        device = self.labels.device
        order = torch.arange(len(self)) if order is None else order.cpu()
        loader = DataLoader(
            _Pictures(self, order, augment),
            batch_size=batch_size,
            num_workers=_num_readers() if self.num_readers is None else self.num_readers,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # or it would draw from the global one, which is dropout's
        )
        for images, positions in loader:
            labels = self.labels[order[positions].to(device)]
            yield self.normalisation(images.to(device, non_blocking=True)), labels


class _Pictures(Dataset[tuple[Tensor, int]]):
    """What a reader process runs: the image at one position of an order, as bytes."""

    def __init__(self, split: StreamedSplit, order: Tensor, augment: int | None) -> None:
        self.folder, self.names = split.folder, split.names
        self.side, self.resized = split.side, split.resized
        self.order, self.augment = order.numpy(), augment

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        from torchvision.transforms import RandomResizedCrop, functional

        index = int(self.order[position])
        picture = open_image(self.folder / os.fsdecode(self.names[index]))
        if self.augment is None:
            picture = functional.center_crop(functional.resize(picture, [self.resized]), [self.side])
        else:
            with global_seed(self.augment, str(index)):
                window = RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3])
                mirrored = bool(torch.rand(()) < 0.5)
            picture = functional.resized_crop(picture, *window, [self.side, self.side])
            picture = functional.hflip(picture) if mirrored else picture
        return functional.pil_to_tensor(picture), position


def _num_readers() -> int:
    named = os.environ.get(READERS_VARIABLE)
    if named is None:
        return min(MOST_READERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if not named.isdigit():
        raise ValueError(f"{READERS_VARIABLE}={named}: expected the number of reading processes, 0 or more")
    return int(named)
