"""Iterative pruning: score, keep the highest, repeat (algorithm 1 of the SynFlow paper)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

import torch
from torch import Tensor

from pruning.density import kept_count
from pruning.masks import Masks, Scores, all_kept, count_kept, keep_highest
from pruning.schedules import SCHEDULES

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
    """Sum of the scores removed in this round."""
    flow: float
    """Sum of all live scores before the cut, divided by the number of prunable layers. For SynFlow on a network
    without branches this is R, the synaptic flow: one layer's total score."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Masks of the asked density, and how they came about."""

    masks: Masks
    scores: Scores
    """The scores that the last round ranked; zero for weights that were already removed."""
    rounds: list[Round]


def prune(
    score: ScoreRound,
    weights: Masks,
    density: Decimal,
    *,
    num_rounds: int = 1,
    schedule: str = "exponential",
    scope: str = "global",
) -> Pruned:
    """Prune to exactly `density` in `num_rounds` rounds.

    `weights` gives the shape of each prunable weight (any tensors by name). Masks are nested: a weight removed in one
    round never returns. After each round exactly round-half-even(density_k x weights) weights are left, over the whole
    network (`scope` "global") or in each layer ("local"). Raises ValueError for an unknown schedule or scope, for fewer
    than one round, and where no weight would be left.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule {schedule!r}: expected one of {', '.join(sorted(SCHEDULES))}")
    if num_rounds < 1:
        raise ValueError(f"{num_rounds} rounds: expected at least 1")
    masks = all_kept(weights)
    total = count_kept(masks)
    scores: Scores = {}
    rounds: list[Round] = []
    for number, target in enumerate(SCHEDULES[schedule](density, num_rounds), start=1):
        given = score(masks, number)
        scores = {name: given[name].masked_fill(~mask, 0.0) for name, mask in masks.items()}
        kept = keep_highest(scores, masks, target, scope)
        num_kept = count_kept(kept)
        if scope == "global" and num_kept != kept_count(target, total):
            raise AssertionError(f"round {number} kept {num_kept} weights, not {kept_count(target, total)}")
        rounds.append(
            Round(
                round=number,
                density=num_kept / total,
                kept=num_kept,
                score_cut=_sum(scores[name][~mask] for name, mask in kept.items()),
                flow=_sum(scores.values()) / len(masks),
            )
        )
        masks = kept
    return Pruned(masks=masks, scores=scores, rounds=rounds)


def _sum(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.sum(dtype=torch.float64) for tensor in tensors]).sum())
