"""All rounds of SynFlow on one linear view: the same masks as scoring round by round, several times faster.

The straightforward loop copies the network, takes absolute values, builds full-size scores and sorts out what is alive
among all of them, every round. Here the view is made once and only its weights shrink:

- a removed weight is set to zero in the view itself; since masks are nested it is never needed again;
- gradients are written where the scores will be, in one buffer that is reused, and scores are formed, summed and
  searched for the lowest part by part in the cache (`pruning.stored_weights`);
- once enough is gone, layers give up rows and columns of their matrices (`pruning.compact_product`).

Measured by `python -m benchmarks.scoring`. Sums run over fewer terms than in the full layer, so scores agree to
rounding, not bit for bit: masks are identical unless two scores at a cut are equal to 1e-14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

import torch
from torch import Tensor, nn

from pruning.compact_product import attach_compact_layers
from pruning.density import kept_count
from pruning.linear_view import synaptic_flow
from pruning.prunable import prunable_weights
from pruning.prune import Pruned, Round
from pruning.scaled import fits, times_power_of_two
from pruning.stored_weights import StoredLayer, StoredWeights

_COMPACT_BELOW = 0.7
"""Look for rows and columns to give up when a round leaves less than this part of what was alive at the last look."""


def prune_by_flow(view: nn.Module, inputs: Tensor, densities: Sequence[Decimal], scope: str = "global") -> Pruned:
    """Prune a linear view by flow through each weight, |theta dR/dtheta|, once for each density after a round.

    `view` is used up: its weights are what is ranked (`to_linear_view` makes it of absolute values) and are changed.
    Same result as `pruning.prune.prune` with SynFlow's score, except for rounding. Raises ValueError for an unknown
    scope, where no weight would be left, and naming the layer where a score is not finite.
    """
    if scope not in ("global", "local"):
        raise ValueError(f"scope {scope!r}: expected 'global' or 'local'")
    layers = [StoredLayer(name, weight) for name, weight in prunable_weights(view).items()]
    total = _num_weights(layers)
    ranked_together = [layers] if scope == "global" else [[layer] for layer in layers]
    _refuse_to_keep_none(ranked_together, total, densities, scope)
    attach_compact_layers(view, inputs, layers)
    stored = StoredWeights(layers)
    kept_when_compacted, rounds = total, []
    for number, density in enumerate(densities, start=1):
        if stored.num_kept < _COMPACT_BELOW * kept_when_compacted:
            kept_when_compacted = stored.num_kept
            stored.compact()
        exponent = _gradients_into_scores(view, inputs, layers)
        for group in ranked_together:
            stored.keep_highest(group, kept_count(density, _num_weights(group)))
        rounds.append(
            Round.of(
                number,
                num_weights=total,
                num_kept=stored.num_kept,
                layer_kept=[layer.num_kept for layer in layers],
                layer_scores=[math.ldexp(layer.score_sum, exponent) for layer in layers],
                score_cut=math.ldexp(sum(layer.score_cut for layer in layers), exponent),
            )
        )
    return Pruned(
        masks={layer.name: layer.expanded(layer.alive) for layer in layers},
        scores={layer.name: layer.expanded(times_power_of_two(layer.scores, exponent)) for layer in layers},
        rounds=rounds,
    )


def _gradients_into_scores(view: nn.Module, inputs: Tensor, layers: list[StoredLayer]) -> int:
    """Write each weight's gradient where its score will be; return the power of two that they lack."""
    for layer in layers:
        layer.has_gradient = False
    inputs = inputs.detach().requires_grad_()
    flow, exponent = synaptic_flow(view, inputs)
    others = [layer for layer in layers if not layer.shrinks]
    gradients = torch.autograd.grad(flow, [inputs, *(layer.weight for layer in others)], materialize_grads=True)
    for layer, gradient in zip(others, gradients[1:], strict=True):
        layer.scores.copy_(gradient)
        layer.has_gradient = True
    return exponent if fits(flow, exponent) else 0


def _num_weights(layers: Sequence[StoredLayer]) -> int:
    return sum(layer.full_shape.numel() for layer in layers)


def _refuse_to_keep_none(
    ranked_together: list[list[StoredLayer]], total: int, densities: Sequence[Decimal], scope: str
) -> None:
    """As `pruning.masks.keep_highest` does, before any work."""
    largest = max(_num_weights(group) for group in ranked_together)
    if kept_count(min(densities), largest) == 0:
        raise ValueError(
            f"density {min(densities)} of {total} prunable weights leaves none: "
            f"with scope {scope!r} a weight is kept from density {1 / largest:.3g} on"
        )
