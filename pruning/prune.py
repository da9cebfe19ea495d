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
    layer_scores: tuple[float, ...]
    """Sum of the live scores of the weights of each prunable layer before the cut, in the network's order."""
    collapsed_layers: int
    """Prunable layers without a kept weight after the round."""

    @classmethod
    def of(
        cls,
        number: int,
        *,
        num_weights: int,
        num_kept: int,
        layer_kept: Iterable[int],
        layer_scores: Iterable[float],
        score_cut: float,
    ) -> Round:
        """The record of a round that left `num_kept` of all `num_weights` prunable weights, `layer_kept` in layers."""
        return cls(
            round=number,
            density=num_kept / num_weights,
            kept=num_kept,
            score_cut=score_cut,
            layer_scores=tuple(layer_scores),
            collapsed_layers=list(layer_kept).count(0),
        )

    @property
    def flow(self) -> float:
        """Mean of the layers' scores. For SynFlow on a network without branches this is R, the synaptic flow: one
        layer's total score.
        """
        return sum(self.layer_scores) / len(self.layer_scores)

    @property
    def layer_deviation(self) -> float | None:
        """Largest relative distance of a layer's score from `flow`; None where that is 0.

        Layer-wise conservation (theorem 2): rounding error for SynFlow on a network without branches.
        """
        flow = self.flow
        return max(abs(score - flow) for score in self.layer_scores) / abs(flow) if flow else None


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
    before: tuple[Masks, Decimal] | None = None,
) -> Pruned:
    """Prune to exactly `density` in `num_rounds` rounds.

    `weights` gives the shape of each prunable weight (any tensors by name). After each round exactly
    round-half-even(density_k x weights) weights are left: over the whole network, shared out by rank (`scope` "global")
    or by `layer_densities` where a criterion has them, or in each layer ("local"). A scope that fixes layers leaves the
    schedule to the others (`pruning.scopes`). Masks are nested, a weight removed in one round never returns, unless the
    criterion is not `monotone`: then every round chooses among all weights. `before` are masks to start from and their
    density: what they removed never returns, and the rounds lead from there.
    `layers` names the weights of layers where biases, scales or identities are prunable too; all, unless given.
    Raises ValueError for an unknown schedule or scope, for fewer than one round, for layer densities that cannot be
    met, and where no weight would be left.
    """
    if layer_densities is not None and scope != "global":
        raise ValueError(f"scope {scope!r}: this pruner sets each layer's density itself; leave scope out")
    masks = before[0] if before else all_kept(weights)
    layers = list(masks) if layers is None else layers
    if layer_densities is not None and len(layers) < len(masks):
        raise ValueError("this pruner gives densities to the weights of layers alone: leave prunable at [weights]")
    everything = masks
    total = sum(mask.numel() for mask in masks.values())
    scores: Scores = {}
    rounds: list[Round] = []
    sizes = {name: mask.numel() for name, mask in masks.items()}
    split = ranking(scope, sizes, density, layers)
    start = ranking(scope, sizes, before[1], layers).density if before else Decimal(1)
    densities = densities_by_round(schedule, split.density, num_rounds, start)
    for number, target in enumerate(densities, start=1):
        given = score(masks, number)
        ranked = masks if monotone else everything
        scores = {name: _zero_elsewhere(given[name], mask) for name, mask in ranked.items()}
        if layer_densities is None:
            kept = _keep_by_rank(scores, ranked, target, split)
        else:
            kept = _keep_by_layer(scores, ranked, target, layer_densities)
        done = Round.of(
            number,
            num_weights=total,
            num_kept=count_kept(kept),
            layer_kept=[int(kept[name].sum()) for name in layers],
            layer_scores=_sums(_selected(scores[name], masks[name]) for name in layers),
            score_cut=sum(_sums(scores[name][masks[name] & ~mask] for name, mask in kept.items())),
        )
        if scope == "global" and done.kept != kept_count(target, total):
            raise AssertionError(f"round {number} kept {done.kept} weights, not {kept_count(target, total)}")
        rounds.append(done)
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


def _zero_elsewhere(scores: Tensor, mask: Tensor) -> Tensor:
    """The scores with zeros outside `mask`; not copied where that is everywhere, as in a first round: it may be GBs."""
    return scores if mask.all() else scores.masked_fill(~mask, 0.0)


def _selected(scores: Tensor, mask: Tensor) -> Tensor:
    """`scores[mask]`, not copied where that is everything."""
    return scores.flatten() if mask.all() else scores[mask]


def _sums(tensors: Iterable[Tensor]) -> list[float]:
    return torch.stack([tensor.sum(dtype=torch.float64) for tensor in tensors]).tolist()
