"""Uniform random pruning: every layer at the network's density."""

from __future__ import annotations

from fractions import Fraction

from pruning.criteria.random import Random
from pruning.quotas import Shapes


class Uniform(Random):
    """d_l = d in every layer, random inside.

    Unlike `random` with scope "local", which rounds each layer's count by itself, the network's count is exact.
    """

    def layer_densities(self, shapes: Shapes, density: Fraction) -> dict[str, Fraction]:
        """The network's density, for each layer."""
        return dict.fromkeys(shapes, density)
