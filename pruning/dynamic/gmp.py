"""Gradual magnitude pruning (Zhu and Gupta 2017, arXiv:1710.01878)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import torch
from torch import Tensor

from pruning.density import canonical_density
from pruning.dynamic.contract import Moment, check_every, check_fraction
from pruning.masks import Masks, all_kept
from pruning.scopes import keep_highest


class Gmp:
    """Sparsity s (1 - (1 - t)^3), t running from 0 at `begin` to 1 at `end`: equation 1 with initial sparsity 0.

    Every `every` steps the smallest magnitudes go, all layers ranked together; what is gone stays gone. The target is
    met exactly at `end`, also where that lies between two multiples of `every`. The paper prunes layer by layer to the
    same sparsity and lets masked weights change their minds; here counts are global and masks nested, as everywhere in
    this package.
    """

    replaces_step = False

    def __init__(self, begin: float = 0.0, end: float = 0.75, every: int = 100) -> None:
        """`begin` and `end` are fractions of the training; raises ValueError where they do not rise."""
        check_fraction("begin", begin)
        check_fraction("end", end)
        check_every(every)
        if not begin < end:
            raise ValueError(f"begin {begin} and end {end}: expected begin < end")
        self._begin, self._end, self._every = begin, end, every

    def start(self, weights: Mapping[str, Tensor], density: Decimal, generator: torch.Generator) -> Masks:
        """Everything is kept."""
        return all_kept(weights)

    def is_due(self, moment: Moment) -> bool:
        """Every so many steps between begin and end, and at the end."""
        first, last = self._begin * moment.num_steps, self._last_step(moment)
        return moment.step == last or (first < moment.step < last and moment.step % self._every == 0)

    def update(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        masks: Masks,
        density: Decimal,
        moment: Moment,
        generator: torch.Generator,
    ) -> Masks:
        """Keep the largest magnitudes at this moment's density."""
        scores = {name: weight.detach().abs() for name, weight in weights.items()}
        return keep_highest(scores, masks, self.density_at(density, moment), "global")

    def density_at(self, density: Decimal, moment: Moment) -> Decimal:
        """Density after the update at `moment`; exactly the target at the end."""
        last = self._last_step(moment)
        if moment.step >= last:
            return density
        first = self._begin * moment.num_steps
        left = 1 - (moment.step - first) / (last - first)
        return canonical_density("sparsity", (1 - float(density)) * (1 - left**3))

    def _last_step(self, moment: Moment) -> int:
        return max(1, int(self._end * moment.num_steps))
