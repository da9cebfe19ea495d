"""Balanced random pruning: every layer keeps the same number of weights (Gadhikar, Mukherjee, Burkholz, ICML 2023)."""

from __future__ import annotations

from fractions import Fraction

from pruning.criteria.random import Random
from pruning.quotas import Shapes, proportional


class Balanced(Random):
    """d_l n_l equal in every layer of n_l weights, random inside (arXiv:2210.02412).

    A layer smaller than its share is kept whole and the others share the rest equally.
    """

    def layer_densities(self, shapes: Shapes, density: Fraction) -> dict[str, Fraction]:
        """Densities inversely proportional to layer size, capped at 1."""
        shares = {name: Fraction(1, shape.numel()) for name, shape in shapes.items()}
        return proportional(shapes, shares, density * sum(shape.numel() for shape in shapes.values()))
