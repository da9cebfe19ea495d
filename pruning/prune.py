"""Iterative pruning: score, keep the highest, repeat (algorithm 1 of the SynFlow paper)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch
from torch import Tensor

from pruning.density import kept_count
from pruning.masks import Masks, Scores, all_kept, count_kept, keep_counts
from pruning.quotas import LayerDensities, layer_counts
from pruning.schedules import densities_by_round
from pruning.scopes import Ranking, keep_highest, ranking

ScoreRound = Callable[[Masks, int], Scores]
"""Scores under the given masks, in the given round (1 is the first)."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one pruning round did."""

    round: int
    density: float
    """Fraction of all prunable weights kept after the round."""
    kept: int
    score_cut: float
    """Sum of the scores of weights that were kept before the round and are not after it."""
    flow: float
    """Sum of the live scores of layers' weights before the cut, divided by the number of prunable layers. For SynFlow
    on a network without branches this is R, the synaptic flow: one layer's total score."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Masks of the asked density, and how they came about."""

    masks: Masks
    scores: Scores
    """The scores that the last round ranked; zero for weights that could not return."""
    rounds: list[Round]


def prune(
    score: ScoreRound,
    weights: Masks,
    density: Decimal,
    *,
    num_rounds: int = 1,
    schedule: str = "exponential",
    scope: str = "global",
    layer_densities: LayerDensities | None = None,
    monotone: bool = True,
    layers: Sequence[str] | None = None,
) -> Pruned:
    """Prune to exactly `density` in `num_rounds` rounds.

    `weights` gives the shape of each prunable weight (any tensors by name). After each round exactly
    round-half-even(density_k x weights) weights are left: over the whole network, shared out by rank (`scope` "global")
    or by `layer_densities` where a criterion has them, or in each layer ("local"). A scope that fixes layers leaves the
    schedule to the others (`pruning.scopes`). Masks are nested, a weight removed in one round never returns, unless the
    criterion is not `monotone`: then every round chooses among all weights.
    `layers` names the weights of layers where biases, scales or identities are prunable too; all, unless given.
    Raises ValueError for an unknown schedule or scope, for fewer than one round, for layer densities that cannot be
    met, and where no weight would be left.
    """
    if layer_densities is not None and scope != "global":
        raise ValueError(f"scope {scope!r}: this pruner sets each layer's density itself; leave scope out")
    masks = all_kept(weights)
    layers = list(masks) if layers is None else layers
    if layer_densities is not None and len(layers) < len(masks):
        raise ValueError("this pruner gives densities to the weights of layers alone: leave prunable at [weights]")
    everything = masks
    total = count_kept(masks)
    scores: Scores = {}
    rounds: list[Round] = []
    split = ranking(scope, {name: mask.numel() for name, mask in masks.items()}, density, layers)
    for number, target in enumerate(densities_by_round(schedule, split.density, num_rounds), start=1):
        given = score(masks, number)
        ranked = masks if monotone else everything
        scores = {name: given[name].masked_fill(~mask, 0.0) for name, mask in ranked.items()}
        if layer_densities is None:
            kept = _keep_by_rank(scores, ranked, target, split)
        else:
            kept = _keep_by_layer(scores, ranked, target, layer_densities)
        num_kept = count_kept(kept)
        if scope == "global" and num_kept != kept_count(target, total):
            raise AssertionError(f"round {number} kept {num_kept} weights, not {kept_count(target, total)}")
        rounds.append(
            Round(
                round=number,
                density=num_kept / total,
                kept=num_kept,
                score_cut=_sum(scores[name][masks[name] & ~mask] for name, mask in kept.items()),
                flow=_sum(scores[name][masks[name]] for name in layers) / len(layers),
            )
        )
        masks = kept
    return Pruned(masks=masks, scores=scores, rounds=rounds)


def _keep_by_rank(scores: Scores, alive: Masks, density: Decimal, split: Ranking) -> Masks:
    """Fixed layers keep their count, the others their highest scores; in the order of `alive`."""
    kept = keep_counts(scores, {name: alive[name] for name in split.fixed}, split.fixed)
    others = {name: mask for name, mask in alive.items() if name not in split.fixed}
    if others:
        kept |= keep_highest(scores, others, density, split.scope)
    return {name: kept[name] for name in alive}


def _keep_by_layer(scores: Scores, alive: Masks, density: Decimal, layer_densities: LayerDensities) -> Masks:
    shapes = {name: mask.shape for name, mask in alive.items()}
    total = sum(shape.numel() for shape in shapes.values())
    num_kept = kept_count(density, total)
    if num_kept == 0:
        raise ValueError(
            f"density {density} of {total} prunable weights leaves none: a weight is kept from density "
            f"{1 / total:.3g} on"
        )
    num_alive = {name: int(mask.sum()) for name, mask in alive.items()}
    return keep_counts(scores, alive, layer_counts(layer_densities, shapes, num_alive, num_kept, density))


def _sum(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.sum(dtype=torch.float64) for tensor in tensors]).sum())
