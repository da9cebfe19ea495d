"""Erdős-Rényi-Kernel random pruning (Evci et al., ICML 2020, arXiv:1911.11134)."""

from __future__ import annotations

from fractions import Fraction

from pruning.criteria.random import Random
from pruning.quotas import Shapes, proportional


class Erk(Random):
    """d_l proportional to (c_in + c_out + kh + kw) / (c_in c_out kh kw), capped at 1, random inside.

    For a linear layer that is (c_in + c_out) / (c_in c_out), Erdős-Rényi's. Of a grouped convolution c_in is the
    channels of one group, so that the denominator is its number of weights (of a
    transposed one it is c_out). What capped layers cannot hold is
    redistributed until nothing is above 1, as in the authors' code; counts are exact, theirs are rounded in each layer.
    """

    def layer_densities(self, shapes: Shapes, density: Fraction) -> dict[str, Fraction]:
        """Denser layers where they are small."""
        shares = {name: Fraction(sum(shape), shape.numel()) for name, shape in shapes.items()}
        return proportional(shapes, shares, density * sum(shape.numel() for shape in shapes.values()))
