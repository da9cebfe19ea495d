"""Drop and grow: what SET and RigL share. The number of weights in each layer never changes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal

import torch
from torch import Tensor

from pruning.criteria.erk import Erk
from pruning.criteria.uniform import Uniform
from pruning.density import kept_count
from pruning.dynamic.contract import Moment, check_every, check_fraction
from pruning.masks import Masks, keep_counts, keep_k_highest
from pruning.quotas import LayerDensities, layer_counts

DISTRIBUTIONS: dict[str, LayerDensities] = {"erk": Erk().layer_densities, "uniform": Uniform().layer_densities}
"""How the starting masks share the weights out among layers."""


class Rewiring(ABC):
    """Start sparse and random; every `every` steps drop a fraction of the smallest magnitudes and grow as many.

    A weight that returns starts at zero, and one that was just dropped may return at once. Updates replace the
    optimizer's step and end after the fraction `stop` of the training (RigL, algorithm 1).
    """

    replaces_step = True

    def __init__(self, drop: float = 0.3, every: int = 100, stop: float = 0.75, distribution: str = "erk") -> None:
        """`drop` is the fraction of a layer's weights dropped first. Raises ValueError for an option out of range."""
        check_fraction("drop", drop)
        check_fraction("stop", stop)
        check_every(every)
        if distribution not in DISTRIBUTIONS:
            raise ValueError(f"distribution {distribution!r}: expected one of {', '.join(DISTRIBUTIONS)}")
        self._drop, self._every, self._stop, self._distribution = drop, every, stop, distribution

    def start(self, weights: Mapping[str, Tensor], density: Decimal, generator: torch.Generator) -> Masks:
        """Random masks with the distribution's layer densities. Raises ValueError where no weight would be left."""
        shapes = {name: weight.shape for name, weight in weights.items()}
        sizes = {name: shape.numel() for name, shape in shapes.items()}
        num_kept = kept_count(density, sum(sizes.values()))
        if num_kept == 0:
            raise ValueError(f"density {density} of {sum(sizes.values())} prunable weights leaves none")
        counts = layer_counts(DISTRIBUTIONS[self._distribution], shapes, sizes, num_kept, density)
        alive = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
        return keep_counts({name: _random(weight, generator) for name, weight in weights.items()}, alive, counts)

    def is_due(self, moment: Moment) -> bool:
        """Every so many steps, until `stop`."""
        return moment.step % self._every == 0 and moment.step < self._stop * moment.num_steps

    def update(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        masks: Masks,
        density: Decimal,
        moment: Moment,
        generator: torch.Generator,
    ) -> Masks:
        """Each layer drops its smallest magnitudes and grows as many of its highest growth scores."""
        fraction = self.drop_fraction(moment)
        return {
            name: _rewired(
                mask, weights[name].detach().abs(), self.growth(weights[name], gradients[name], generator), fraction
            )
            for name, mask in masks.items()
        }

    def drop_fraction(self, moment: Moment) -> float:
        """Fraction of each layer's weights that is dropped: constant unless overridden."""
        return self._drop

    def annealed(self, moment: Moment) -> float:
        """The cosine of RigL's equation 1: drop / 2 (1 + cos(pi t / T_end))."""
        return self._drop / 2 * (1 + math.cos(math.pi * moment.progress / self._stop))

    @abstractmethod
    def growth(self, weight: Tensor, gradient: Tensor, generator: torch.Generator) -> Tensor:
        """Scores of a layer's weights: the highest that are not kept are grown."""


def _rewired(mask: Tensor, magnitude: Tensor, growth: Tensor, fraction: float) -> Tensor:
    num_kept = int(mask.sum())
    num_stay = num_kept - int(fraction * num_kept)
    stays = keep_k_highest(magnitude.flatten(), mask.flatten(), num_stay)
    grown = keep_k_highest(growth.flatten(), ~stays, num_kept - num_stay)
    return (stays | grown).view_as(mask)


def _random(weight: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(weight.shape, generator=generator, device=weight.device)
