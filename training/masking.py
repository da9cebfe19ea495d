"""Removed weights stay zero: masking after a step instead of in every forward pass.

The two give the same weights, for a removed weight is zero whenever it is read; after the step it costs one pass over
the weights, and nothing where a layer lost none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pruning.masks import Masks
from pruning.prunable import prunable_weights

Removed = list[tuple[nn.Parameter, Tensor]]
"""Weights, each with a boolean tensor of its shape: True is removed."""


def clip_gradients(model: nn.Module, removed: Removed, max_norm: float) -> None:
    """Scale all gradients so that their Euclidean norm together is at most `max_norm`.

    A removed weight has a gradient too, often a large one, that trains nothing: it must not shrink the others'.
    """
    for weight, gone in removed:
        if weight.grad is not None:
            weight.grad.masked_fill_(gone, 0.0)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)


def removed_weights(model: nn.Module, masks: Masks) -> Removed:
    """The prunable weights of `model` with what `masks` removes of them; layers that lose nothing are left out."""
    pairs = ((weight, ~masks[name]) for name, weight in prunable_weights(model).items())
    return [(weight, removed) for weight, removed in pairs if removed.any()]


@torch.no_grad()
def zero_removed(removed: Removed) -> None:
    """Set removed weights to zero, also where an overflowing step made them infinite or NaN."""
    for weight, gone in removed:
        weight.masked_fill_(gone, 0.0)
