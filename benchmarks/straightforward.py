"""SynFlow's loop as one would first write it: the baseline of the benchmark and the oracle of the tests."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from decimal import Decimal

import torch
from torch import Tensor, nn

from pruning.density import kept_count
from pruning.linear_view import to_linear_view
from pruning.prunable import prunable_weights


def prune_round_by_round(
    model: nn.Module, inputs: Tensor, densities: Sequence[Decimal], dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """Masks by name: each round copies and masks the network, scores all of it, and ranks what is alive globally."""
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable_weights(model).items()}
    total = sum(mask.numel() for mask in masks.values())
    for density in densities:
        private = copy.deepcopy(model).to(dtype)
        weights = prunable_weights(private)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.mul_(masks[name])
        to_linear_view(private)
        flow = private(torch.ones_like(inputs[:1], dtype=dtype)).sum()
        gradients = torch.autograd.grad(flow, list(weights.values()))
        scores = torch.cat(
            [
                (weight.detach() * gradient).abs().flatten()
                for weight, gradient in zip(weights.values(), gradients, strict=True)
            ]
        )
        alive = torch.cat([mask.flatten() for mask in masks.values()])
        num_kept = kept_count(density, total)
        candidates = scores[alive]
        cut = candidates.kthvalue(candidates.numel() - num_kept + 1).values
        kept = alive & (scores > cut)
        ties = (alive & (scores == cut)).nonzero().flatten()
        kept[ties[: num_kept - int(kept.sum())]] = True
        parts = kept.split([mask.numel() for mask in masks.values()])
        masks = {name: part.view_as(mask) for (name, mask), part in zip(masks.items(), parts, strict=True)}
    return masks
