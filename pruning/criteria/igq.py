"""Ideal gas quotas (Vysogorets and Kempe, JMLR 2023, arXiv:2107.02306)."""

from __future__ import annotations

from fractions import Fraction

from pruning.criteria.random import Random
from pruning.quotas import Shapes

NUM_HALVINGS = 200
"""More than the 53 binary digits of the answer and its exponent need."""


class Igq(Random):
    """d_l = 1 / (F n_l + 1) for a layer of n_l weights, F solved for the network's density; random inside.

    The larger a layer, the more of it goes, never all of it and never none. F is found by bisection in float64 with
    sums and quotients only, which every machine rounds alike.
    """

    def layer_densities(self, shapes: Shapes, density: Fraction) -> dict[str, float]:
        """Densities that fall with layer size."""
        sizes = [shape.numel() for shape in shapes.values()]
        num_kept = float(density * sum(sizes))
        low, high = 0.0, len(sizes) / num_kept  # n / (F n + 1) < 1 / F
        for _ in range(NUM_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if sum(n / (middle * n + 1) for n in sizes) > num_kept else (low, middle)
        return {name: 1 / (high * shape.numel() + 1) for name, shape in shapes.items()}
