"""Smart ratios (Su et al., NeurIPS 2020, arXiv:2009.11094): sanity-checking pruning."""

from __future__ import annotations

from fractions import Fraction

from pruning.criteria.random import Random
from pruning.quotas import Shapes, proportional


class SmartRatio(Random):
    """d_l proportional to k^2 + k, k = 1 for the last layer, 2 for the one before; linear layers 0.3; random inside.

    k counts all prunable layers, linear ones included, in the order in which the model registers them. Where the
    convolutions are full, linear layers take the rest in equal proportion, and a network of linear layers alone is
    pruned uniformly. Where `linear_density` of the linear layers alone is more than the budget, the quota cannot be met
    and ValueError says which density could. From there up to about twice that budget convolutions may keep so little
    that they collapse, which is the rule's doing and is recorded.

    Differs from the authors' code in three points. It divides VGG's ratios by l^2, which the formula does not. It pours
    what a capped layer cannot hold into the earliest layers; here all share it in proportion. It rounds each layer
    down; here the count is exact.
    """

    def __init__(self, linear_density: float = 0.3) -> None:
        if not 0 <= linear_density <= 1:
            raise ValueError(f"smart_ratio's linear_density {linear_density}: expected 0 to 1 (published: 0.3)")
        self.linear_density = Fraction(str(linear_density))

    def layer_densities(self, shapes: Shapes, density: Fraction) -> dict[str, Fraction]:
        """Densities that fall from input to output."""
        linear = {name: shape.numel() for name, shape in shapes.items() if len(shape) == 2}
        shares = {
            name: Fraction(k * k + k)
            for k, (name, shape) in enumerate(reversed(list(shapes.items())), start=1)
            if len(shape) != 2
        }
        num_kept = density * sum(shape.numel() for shape in shapes.values())
        if not shares:
            return dict.fromkeys(shapes, density)
        in_linear = self.linear_density * sum(linear.values())
        if in_linear > num_kept:
            largest = max(linear, key=lambda name: linear[name])
            raise ValueError(
                f"layer {largest}: smart_ratio keeps {float(self.linear_density):g} of linear layers, "
                f"{float(in_linear):.6g} weights, where density {float(density):.6g} leaves {float(num_kept):.6g}: "
                f"ask for a higher density, or for linear_density below {float(num_kept / sum(linear.values())):.3g}"
            )
        capacity = sum(shapes[name].numel() for name in shares)
        in_linear = max(in_linear, num_kept - capacity)
        kept_in_linear = dict.fromkeys(linear, in_linear / sum(linear.values())) if linear else {}
        return proportional(shapes, shares, num_kept - in_linear) | kept_in_linear
