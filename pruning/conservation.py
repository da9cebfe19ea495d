"""Conservation of synaptic saliency, and how far a pruner can go before a layer collapses.

Theorem 1 of the SynFlow paper: for any score theta dR/dtheta of a network of linear layers and homogeneous activations,
the score into a hidden unit equals the score out of it; theorem 2: each layer's total is then the same, so a layer's
mean score is inversely proportional to its size (figures 3 and 4), and a layer can only collapse in a round that cuts
more than the flow R (figure 7). With biases or statistics that measure the input the law holds only approximately.

Everything here reads scores and masks; which layer follows which is for the caller to say, because a module does not
know: in a straight network it is the order of the prunable layers (`straight_pairs`), in a residual one units are fed
by, and feed, several layers at once (`unit_scores` of each of them, added).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import torch
from torch import Tensor

from pruning.masks import Masks, Scores
from pruning.prunable import layer_names
from pruning.prune import Round


@dataclass(frozen=True, kw_only=True)
class LayerScore:
    """One prunable layer in figure 3: mean score against the inverse of its size."""

    layer: str
    num_weights: int
    total: float
    mean: float


def layer_scores(scores: Scores) -> list[LayerScore]:
    """Total and mean score of each prunable layer, in the network's order. In a straight network totals are equal."""
    return [
        LayerScore(
            layer=name.removesuffix(".weight"),
            num_weights=tensor.numel(),
            total=float(tensor.sum(dtype=torch.float64)),
            mean=float(tensor.sum(dtype=torch.float64)) / tensor.numel(),
        )
        for name, tensor in scores.items()
    ]


def straight_pairs(scores: Scores) -> list[tuple[str, str]]:
    """Consecutive layers of a network without branches: the first's outputs are the second's inputs."""
    return list(pairwise(scores))


def unit_scores(score: Tensor, side: str, num_units: int | None = None) -> Tensor:
    """Score into each output unit ("into") or out of each input unit ("out of") of a layer, (units,).

    A linear layer after flattening reads each of `num_units` channels at several positions, in one block a channel.
    Of a transposed convolution give `score.transpose(0, 1)`: its inputs come first.
    Raises ValueError where its inputs are no multiple of `num_units`, and for a grouped layer, whose inputs are fewer.
    """
    if side == "into":
        return score.flatten(1).sum(1)
    if side != "out of":
        raise ValueError(f"side {side!r}: expected 'into' or 'out of'")
    by_input = score.transpose(0, 1).flatten(1).sum(1)
    num_units = num_units or len(by_input)
    if len(by_input) % num_units:
        raise ValueError(f"a layer of {len(by_input)} inputs does not read {num_units} units")
    return by_input.view(num_units, -1).sum(1)


def conservation_error(scores: Scores, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Largest relative difference between score into and out of a unit, by the first layer of each pair.

    SynFlow: rounding error. Scores of other criteria are conserved only if signed and if nothing is measured from the
    batch; magnitude is not conserved at all. Units without any score count as conserved.
    """
    errors = {}
    for before, after in pairs:
        score_in = unit_scores(scores[before].double(), "into")
        score_out = unit_scores(scores[after].double(), "out of", len(score_in))
        larger = torch.maximum(score_in.abs(), score_out.abs())
        difference = (score_in - score_out).abs()
        errors[before.removesuffix(".weight")] = float((difference / larger.clamp(min=1e-300)).max())
    return errors


def cut_over_flow(rounds: Iterable[Round]) -> list[float]:
    """Score cut in each round over the flow R of one layer (figure 7): below 1 no layer can have collapsed in it.

    Sufficient, not necessary; 0 where nothing flows any more. In a network with branches R is a layer's average.
    """
    return [one.score_cut / one.flow if one.flow else 0.0 for one in rounds]


def collapsed_layers(masks: Masks) -> list[str]:
    """Prunable layers without a kept weight."""
    return [name.removesuffix(".weight") for name in layer_names(masks) if not masks[name].any()]


def maximal_compression(masks: Masks) -> float:
    """Prunable weights over prunable layers: the compression at which one weight a layer is left."""
    return sum(mask.numel() for mask in masks.values()) / len(layer_names(masks))


def critical_compression(prune_to: Callable[[Decimal], Masks], densities: Iterable[Decimal]) -> float:
    """Largest compression ratio, of the given densities, that `prune_to` reaches before any layer collapses.

    Densities are tried from the highest on and none below the first collapse; 1 if the very first collapses.
    """
    critical = 1.0
    for density in sorted(densities, reverse=True):
        if collapsed_layers(prune_to(density)):
            break
        critical = float(1 / density)
    return critical
