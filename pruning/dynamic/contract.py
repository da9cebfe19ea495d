"""Pruning while the network trains: masks that change every so many steps.

A dynamic pruner gives the masks that training starts with, says after which steps they change, and how. The training
loop keeps removed weights at zero, forgets the optimizer's memory of a weight that returns, and hands over gradients of
the loss with respect to all weights, removed ones included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from pruning.masks import Masks


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where training stands when masks change."""

    step: int
    """Steps behind it, counted from 1."""
    num_steps: int
    """Steps of the whole training."""

    @property
    def progress(self) -> float:
        """Fraction of the training behind it, in (0, 1]."""
        return self.step / self.num_steps


@runtime_checkable
class DynamicPruner(Protocol):
    """A pruner that acts during training; constructor arguments are its options."""

    replaces_step: bool
    """Whether masks change instead of the optimizer's step (RigL, SET) or after it."""

    def start(self, weights: Mapping[str, Tensor], density: Decimal, generator: torch.Generator) -> Masks:
        """The masks that training starts with, for the untrained weights."""
        ...

    def is_due(self, moment: Moment) -> bool:
        """Whether masks change at this moment."""
        ...

    def update(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        masks: Masks,
        density: Decimal,
        moment: Moment,
        generator: torch.Generator,
    ) -> Masks:
        """The new masks. `weights` are masked; `gradients` are dense."""
        ...


def is_dynamic(pruner: object) -> TypeGuard[DynamicPruner]:
    """Whether a pruner acts during training instead of scoring before it."""
    return isinstance(pruner, DynamicPruner)


def check_fraction(option: str, value: float, *, above: float = 0.0, most: float = 1.0) -> None:
    """Raise ValueError naming an option outside [above, most]."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not above <= value <= most:
        raise ValueError(f"{option} {value!r}: expected a number from {above:g} to {most:g}")


def check_every(every: int) -> None:
    """Raise ValueError unless `every` counts steps."""
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise ValueError(f"every {every!r}: expected a whole number of steps, at least 1")
