"""What a pruning criterion is: one method that turns a network into a score for each prunable weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pruning.masks import Scores
from pruning.prune import Pruned


@dataclass(frozen=True, kw_only=True)
class PruneSet:
    """Training examples that a data-dependent criterion may look at."""

    inputs: Tensor
    """(n, channels, height, width), normalised, in the scoring dtype."""
    targets: Tensor
    """(n,), class indices."""
    batch_size: int = 256
    """Examples scored at once; gradients are summed over batches and divided by n."""

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """The examples in order, `batch_size` at a time."""
        return list(zip(self.inputs.split(self.batch_size), self.targets.split(self.batch_size), strict=True))


class Criterion(Protocol):
    """A pruner's score. A class with this one method is a pruner; constructor arguments are its options."""

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Score every prunable weight: the highest are kept.

        `model` is a private copy, masked, in the scoring mode and dtype: change it at will, nothing leaks.
        Returns one finite tensor a prunable weight (`pruning.prunable.prunable_weights`), of that weight's shape.
        Scores of weights that are already removed are ignored. Randomness comes from `generator` alone.
        """
        ...


@runtime_checkable
class PrunesAtOnce(Protocol):
    """What a criterion may offer besides `score`: all rounds of pruning in one call, where that is faster.

    It is used for more than one round when nothing happens between them, and must give the masks that scoring and
    pruning round by round give, except for rounding in scores that are equal.
    """

    def prune(self, model: nn.Module, data: PruneSet, densities: Sequence[Decimal], scope: str) -> Pruned:
        """Prune `model`, an unmasked private copy in the scoring dtype, to each of `densities` in turn."""
        ...
