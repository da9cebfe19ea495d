"""Conservation of synaptic saliency, and how far a pruner can go before a layer collapses.

Theorem 1 of the SynFlow paper: for any score theta dR/dtheta of a network of linear layers and homogeneous activations,
the score into a hidden unit equals the score out of it; theorem 2: each layer's total is then the same, so a layer's
mean score is inversely proportional to its size (figures 3 and 4), and a layer can only collapse in a round that cuts
more than the flow R (figure 7). With biases or statistics that measure the input the law holds only approximately.

Everything here reads scores and masks. Score into a unit is read from the weights that feed it, score out of it from
the weights that read it, so nothing forces them to agree; which weights those are, `pruning.unit_groups` finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

import torch
from torch import Tensor

from pruning.masks import Masks, Scores
from pruning.prunable import layer_names
from pruning.prune import Round
from pruning.unit_groups import UnitGroups


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


def unit_scores(score: Tensor) -> Tensor:
    """Score into each output channel of a layer's (outputs, inputs, ...) weight, (units,)."""
    return score.flatten(1).sum(1, dtype=torch.float64)


def slot_scores(score: Tensor, num_slots: int) -> Tensor:
    """Score out of each of the `num_slots` input channels of a layer, (slots,), in double precision.

    A convolution in groups has fewer inputs in its weight than it has slots: its outputs read a block of them each.
    Raises ValueError where the slots are no multiple of the weight's inputs.
    """
    if num_slots % score.shape[1]:
        raise ValueError(f"a weight of {score.shape[1]} inputs does not read {num_slots} slots")
    blocks = score.unflatten(0, (num_slots // score.shape[1], -1))
    return blocks.sum([1, *range(3, blocks.dim())], dtype=torch.float64).flatten()


def outputs_first(score: Tensor, num_units: int) -> Tensor:
    """A transposed convolution's (inputs, outputs / groups, ...) score as that of the convolution it transposes."""
    num_groups = num_units // score.shape[1]
    return score.unflatten(0, (num_groups, -1)).transpose(1, 2).flatten(0, 1)


def group_scores(scores: Scores, groups: UnitGroups) -> tuple[Tensor, Tensor]:
    """Score into and out of each group of units, (groups,) each: figure 3, unit by unit in a straight network."""
    into = torch.zeros(len(groups.is_closed), dtype=torch.float64, device=groups.is_closed.device)
    out_of = torch.zeros_like(into)
    for name, score in scores.items():
        if name in groups.of_units:
            units, slots = groups.of_units[name], groups.of_slots[name]
            ordered = outputs_first(score, len(units)) if name in groups.inputs_first else score
            into.index_add_(0, units, unit_scores(ordered))
            out_of.index_add_(0, slots, slot_scores(ordered, len(slots)))
    return into, out_of


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Score into and out of units of a layer, (units,) each, in double precision: figure 3's coordinates."""

    into: Tensor
    out_of: Tensor

    def largest_error(self) -> float:
        """Largest relative difference over the units: 0 to rounding for SynFlow, 1 where all that enters is lost."""
        larger = torch.maximum(self.into.abs(), self.out_of.abs())
        return float(((self.into - self.out_of).abs() / larger).max())


def unit_flows(scores: Scores, groups: UnitGroups) -> dict[str, Flow]:
    """What passes each layer's units, by weight name, of units that are in a closed group and have a score.

    A layer without such a unit is left out: the last one, what cannot be followed, what nothing flows through. Scores
    of other criteria than SynFlow's are conserved only if signed and if nothing is measured from the batch; magnitude
    is not conserved at all.
    """
    into, out_of = group_scores(scores, groups)
    is_comparable = groups.is_closed & (torch.maximum(into.abs(), out_of.abs()) > 0)  # NaN is no score
    for name in groups.of_units.keys() - scores.keys():  # what passes an unscored weight is not counted
        is_comparable[groups.of_units[name]] = is_comparable[groups.of_slots[name]] = False
    found = {}
    for name in scores:
        units = groups.of_units.get(name)
        if units is not None and is_comparable[units].any():
            own = units[is_comparable[units]]
            found[name] = Flow(into=into[own], out_of=out_of[own])
    return found


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
