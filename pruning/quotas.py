"""How many weights each layer keeps, where a pruner gives densities by layer instead of ranking layers together.

Densities are exact fractions and counts are whole: the layers' counts add up to the network's to the last weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

import torch

Shapes = Mapping[str, torch.Size]
"""Shape of each prunable weight by name, in the network's order."""

LayerDensities = Callable[[Shapes, Fraction], Mapping[str, Fraction | float]]
"""Density of each layer, in [0, 1], for a density of the network: together they keep what the network is to keep."""

SLACK = 1e-6
"""Relative error of a user's float densities that is rounding, not a mistake."""


def proportional(shapes: Shapes, shares: Mapping[str, Fraction], num_kept: Fraction) -> dict[str, Fraction]:
    """Densities in proportion to `shares`, capped at 1, that keep `num_kept` weights of all layers in `shares`.

    What a capped layer cannot hold goes to the others in the same proportion. `num_kept` is at most what the layers
    hold; shares are positive.
    """
    densities: dict[str, Fraction] = {}
    open_layers = list(shares)
    budget = num_kept
    while open_layers:
        scale = budget / sum(shares[name] * shapes[name].numel() for name in open_layers)
        full = [name for name in open_layers if shares[name] * scale >= 1]
        if not full:
            return densities | {name: shares[name] * scale for name in open_layers}
        densities |= dict.fromkeys(full, Fraction(1))
        budget -= sum(shapes[name].numel() for name in full)
        open_layers = [name for name in open_layers if name not in full]
    return densities


def layer_counts(
    layer_densities: LayerDensities, shapes: Shapes, alive: Mapping[str, int], num_kept: int, density: Decimal
) -> dict[str, int]:
    """Weights kept of each layer, `num_kept` in all: quotas rounded down, then one more by largest remainder.

    Equal remainders go to the earlier layer. No layer is asked for more than is `alive` in it; what it cannot give goes
    on to the next. Raises ValueError where a density is missing or outside [0, 1], or where all together miss
    `num_kept`.
    """
    total = sum(shape.numel() for shape in shapes.values())
    densities = layer_densities(shapes, Fraction(num_kept, total))
    quotas = {name: _density(name, densities) * shape.numel() for name, shape in shapes.items()}
    asked = sum(quotas.values())
    if abs(float(asked) - num_kept) >= max(0.5, SLACK * num_kept):
        raise ValueError(
            f"layer densities keep {float(asked):.6g} of {total} weights where density {density} keeps {num_kept}: "
            "scale them to the network's density"
        )
    counts = {name: min(int(quota), alive[name]) for name, quota in quotas.items()}
    by_remainder = sorted(shapes, key=lambda name: counts[name] - quotas[name])  # sorted() keeps the order of equals
    missing = num_kept - sum(counts.values())
    while missing > 0:
        room = [name for name in by_remainder if counts[name] < alive[name]][:missing]
        for name in room:
            counts[name] += 1
        missing -= len(room)
    while missing < 0:  # float densities a little too high
        surplus = [name for name in reversed(by_remainder) if counts[name] > 0][:-missing]
        for name in surplus:
            counts[name] -= 1
        missing += len(surplus)
    return counts


def _density(name: str, densities: Mapping[str, Fraction | float]) -> Fraction:
    if name not in densities:
        raise ValueError(f"layer {name}: no density was given; every prunable layer needs one")
    density = densities[name]
    if not -SLACK <= float(density) <= 1 + SLACK:  # NaN included
        raise ValueError(
            f"layer {name}: density {float(density):.6g} cannot be met, a layer keeps between 0 and 1 of its weights: "
            "cap it and give the rest to other layers, or ask for another density"
        )
    return min(max(Fraction(density), Fraction(0)), Fraction(1))
