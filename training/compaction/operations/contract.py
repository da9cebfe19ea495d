"""What compaction must know about one operation of a network.

A tensor's units are its second dimension: channels of (n, c, h, w), features of (n, f). Every method speaks of units as
boolean tensors, one entry a unit. An operation that cannot answer raises NotUnderstood, and the network trains masked
dense instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx

if TYPE_CHECKING:
    from training.compaction.build import Builder


class NotUnderstood(Exception):
    """A construct whose units compaction cannot follow; the message names it."""


@dataclass(frozen=True)
class Part:
    """A tensor of the small network: what is left of one of the full network's."""

    node: fx.Node
    units: Tensor
    """Indices, ascending, of the full tensor's units that are present; all others are zero or never read."""
    varies: bool
    """Whether it depends on the images. If not, it is computed once: its first dimension is 1."""
    is_fresh: bool = False
    """Whether nothing else reads this very memory, so that an activation may overwrite it."""


class Operation(ABC):
    """One node of the traced network."""

    stops_gradient_at_zero = False
    """Whether an input of exactly zero gets a gradient of exactly zero, as ReLU's does."""

    zero_offset: Tensor | None = None
    """Of a parameter "bias" that is added unit by unit: where it is zero, and assumed to stay so."""

    def __init__(self, node: fx.Node, sources: list[fx.Node], shape: tuple[int, ...]) -> None:
        self.node = node
        self.sources = sources
        """The tensors it reads."""
        self.shape = shape
        """Shape of its result without the batch."""

    @property
    def num_units(self) -> int:
        """Units of its result."""
        return self.shape[0]

    @abstractmethod
    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """Units of the result that are exactly zero in every step, given those of each source."""

    def assume_less(self, stays_zero: Tensor) -> bool:
        """Assume of offsets that they stay zero only where `stays_zero` is True. True if one had to be given up."""
        if self.zero_offset is None:
            return False
        before, self.zero_offset = self.zero_offset, self.zero_offset & stays_zero
        return not torch.equal(before, self.zero_offset)

    @abstractmethod
    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Per source, the units that touch no unit of the result but those in `out`."""

    @abstractmethod
    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """Per source, the units that must be present so that the `wanted` ones can be computed."""

    @abstractmethod
    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """Add the operation to the small network; None if nothing of its result is present."""
