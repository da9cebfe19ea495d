"""Which weights are ranked against which: all of them, layer by layer, or all but layers with a density of their own.

A scope is "global", "local", or a JSON map from layers to densities, `{"first":"1","classifier":"0.5"}`: the layers
named have that density from the first round on, the others share what is left of the budget, ranked together. The
schedule then says how the others get there, for a fixed layer may be denser or sparser than any round on the way.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pruning.density import kept_count
from pruning.masks import Masks, Scores, keep_counts, keep_k_highest_together

NAMED_SCOPES = ("global", "local")


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What a scope leaves to be ranked."""

    fixed: dict[str, int]
    """Kept weights of the layers with a density of their own."""
    density: Decimal
    """Target density of the other layers together: the schedule leads to it."""
    scope: str
    """"global" or "local": how the other layers are ranked."""


def ranking(scope: str, sizes: dict[str, int], density: Decimal, layers: Sequence[str] | None = None) -> Ranking:
    """Split a network's budget, round-half-even(density x weights), between layers that are fixed and the others.

    `layers` names the weights of layers where `sizes` has other prunable tensors too: "first" and "last" mean these.
    Raises ValueError for a scope that cannot be, and where the fixed layers do not fit the budget.
    """
    if scope in NAMED_SCOPES:
        return Ranking(fixed={}, density=density, scope=scope)
    fixed = {name: kept_count(share, sizes[name]) for name, share in layer_densities(scope, sizes, layers).items()}
    num_others = sum(size for name, size in sizes.items() if name not in fixed)
    num_kept, num_fixed = kept_count(density, sum(sizes.values())), sum(fixed.values())
    if not (0 < num_kept - num_fixed <= num_others or num_others == num_kept - num_fixed == 0):
        raise ValueError(
            f"scope {scope}: the layers named keep {num_fixed} weights, but density {density} of the network is "
            f"{num_kept} and the other layers have {num_others}: name other densities"
        )
    others = Decimal(num_kept - num_fixed) / num_others if num_others else Decimal(1)
    return Ranking(fixed=fixed, density=others, scope="global")


def keep_highest(scores: Scores, alive: Masks, density: Decimal, scope: str) -> Masks:
    """Masks that keep the highest scores among the weights alive, for a density of the *unpruned* layers.

    `scope` "global" ranks all layers together; "local" keeps the same density in every layer, which may be no weight
    of a small one. Dead weights never return. Raises ValueError where more weights are asked for than are alive, or
    where none would be left.
    """
    sizes = {name: mask.numel() for name, mask in alive.items()}
    ranked_together = max(sizes.values()) if scope == "local" else sum(sizes.values())
    num_kept = kept_count(density, ranked_together)
    if num_kept == 0:
        raise ValueError(
            f"density {density} of {sum(sizes.values())} prunable weights leaves none: "
            f"with scope {scope!r} a weight is kept from density {1 / ranked_together:.3g} on"
        )
    if scope == "global":
        return keep_k_highest_together(scores, alive, num_kept)
    return keep_counts(scores, alive, {name: kept_count(density, size) for name, size in sizes.items()})


def layer_densities(scope: str, weights: Iterable[str], layers: Sequence[str] | None = None) -> dict[str, Decimal]:
    """The densities that a scope fixes, by weight name; "first" and "last" stand for those of `layers` (of all).

    A layer's density is that of its bias too, where that is prunable.

    >>> layer_densities('{"first":"1"}', ["conv.weight", "fc.weight"])
    {'conv.weight': Decimal('1')}

    Raises ValueError for a layer that is none and for a density outside [0, 1].
    """
    names = list(weights)
    known = {name.removesuffix(".weight"): name for name in names} | {
        "first": (layers or names)[0],
        "last": (layers or names)[-1],
    }
    try:
        given = {layer: Decimal(share) for layer, share in json.loads(scope).items()}
    except (ValueError, AttributeError, TypeError, InvalidOperation):
        raise ValueError(
            f"scope {scope!r}: expected one of {', '.join(NAMED_SCOPES)}, or densities by layer as JSON"
        ) from None
    for layer, share in given.items():
        if layer not in known:
            near = difflib.get_close_matches(layer, known, n=1) or sorted(known)
            raise ValueError(f"scope names layer {layer!r}, which is none; did you mean {', '.join(near)}?")
        if not 0 <= share <= 1:
            raise ValueError(f"scope: density {share} of layer {layer!r}: expected a number in [0, 1]")
    fixed = {known[layer]: share for layer, share in given.items()}
    biases = {f"{name.removesuffix('weight')}bias": share for name, share in fixed.items() if name.endswith("weight")}
    return {name: share for name, share in biases.items() if name in names} | fixed
