"""What a pruning criterion is: one method that turns a network into a score for each prunable weight.

Two things a criterion may add, each read by `prune()` where it is there:

- `layer_densities(shapes, density)` fixes how much each layer keeps (`pruning.quotas`); scores then rank inside layers;
- `monotone = False` lets removed weights return: each round ranks all weights, so all need a finite score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor, nn

from pruning.masks import Scores
from pruning.prune import Pruned
from pruning.quotas import LayerDensities


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
        Scores of weights that are already removed are ignored, unless the criterion is not monotone. Masks and the
        weights before masking are in `pruning.masked`. Randomness comes from `generator` alone.
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


def prunes_at_once(criterion: object) -> TypeGuard[PrunesAtOnce]:
    """Whether `criterion` offers `prune` for its own score: one inherited beside a new `score` is another's."""
    first = next((kind for kind in type(criterion).__mro__ if {"score", "prune"} & vars(kind).keys()), object)
    return "prune" in vars(first) and isinstance(criterion, PrunesAtOnce)


def is_monotone(criterion: Criterion) -> bool:
    """Whether a removed weight never returns, which is the rule."""
    return bool(getattr(criterion, "monotone", True))


def layer_densities_of(criterion: Criterion) -> LayerDensities | None:
    """How the criterion shares the weights out among layers; None where all layers are ranked together."""
    return getattr(criterion, "layer_densities", None)
