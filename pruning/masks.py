"""Exact masks: keep precisely the k highest scores among the weights still alive.

Ties are broken by position (the earlier weight stays), so a mask is a pure function of its scores. Choosing by a
threshold alone, as the authors' code does, removes every weight that ties with it and misses the count.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Scores = dict[str, Tensor]
"""One score tensor a prunable weight, of that weight's shape; the highest scores are kept."""

Masks = dict[str, Tensor]
"""One boolean tensor a prunable weight, of that weight's shape; True is kept."""


def all_kept(weights: Mapping[str, Tensor]) -> Masks:
    """The masks before any pruning."""
    return {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}


def count_kept(masks: Masks) -> int:
    """Number of weights kept over all layers."""
    return sum(int(mask.sum()) for mask in masks.values())


def keep_k_highest_together(scores: Scores, alive: Masks, num_kept: int) -> Masks:
    """Masks that keep the `num_kept` highest scores of all layers ranked together, among the weights alive."""
    kept = keep_k_highest(
        torch.cat([scores[name].flatten() for name in alive]),
        torch.cat([mask.flatten() for mask in alive.values()]),
        num_kept,
    )
    parts = kept.split([mask.numel() for mask in alive.values()])
    return {name: part.view_as(mask) for (name, mask), part in zip(alive.items(), parts, strict=True)}


def keep_counts(scores: Scores, alive: Masks, counts: Mapping[str, int]) -> Masks:
    """Masks that keep the given number of each layer's highest scores among its weights alive.

    Raises ValueError naming the layer that has fewer alive.
    """
    return {name: _keep_in_layer(name, scores[name], alive[name], counts[name]) for name in alive}


def keep_k_highest(scores: Tensor, alive: Tensor, num_kept: int) -> Tensor:
    """Boolean mask of exactly `num_kept` entries: the highest `scores` where `alive`, the earlier of equals.

    Both tensors are flat and of one length. Raises ValueError if fewer than `num_kept` entries are alive.
    """
    num_alive = int(alive.sum())
    if num_kept > num_alive:
        raise ValueError(f"{num_kept} weights are to be kept but only {num_alive} are alive")
    if num_kept == num_alive:
        return alive.clone()
    if num_kept == 0:
        return torch.zeros_like(alive)
    # selecting by a mask takes eight bytes a weight beside the copy, so in a first round nothing is selected
    candidates = scores if num_alive == alive.numel() else scores[alive]
    cut = candidates.kthvalue(num_alive - num_kept + 1).values
    chosen = candidates > cut
    ties = (candidates == cut).nonzero().flatten()
    chosen[ties[: num_kept - int(chosen.sum())]] = True
    if num_alive == alive.numel():
        return chosen
    kept = torch.zeros_like(alive)
    kept[alive] = chosen
    return kept


def _keep_in_layer(name: str, scores: Tensor, alive: Tensor, num_kept: int) -> Tensor:
    try:
        kept = keep_k_highest(scores.flatten(), alive.flatten(), num_kept)
    except ValueError as error:
        raise ValueError(f"layer {name}: {error}") from None
    return kept.view_as(alive)
