"""What a scored copy remembers: each weight's mask, and its value before the mask.

A criterion is handed masked weights, which is all that most need. Zero does not say whether a weight was removed or
is zero, and a criterion under which weights may return needs what they were: both are one call away here, and cost
nothing until asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_KEY = "_before_mask"


@dataclass(frozen=True)
class _Before:
    mask: Tensor
    original: Tensor


def apply_mask(weight: nn.Parameter, mask: Tensor, original: Tensor) -> None:
    """Zero the removed entries of `weight`, a copy of `original`, and remember both."""
    with torch.no_grad():
        weight.masked_fill_(~mask, 0.0)
    vars(weight)[_KEY] = _Before(mask, original)


def mask_of(weight: Tensor) -> Tensor:
    """True where the weight is kept; a weight that was never masked is kept everywhere."""
    before: _Before | None = vars(weight).get(_KEY)
    return torch.ones_like(weight, dtype=torch.bool) if before is None else before.mask


def unmasked(weight: Tensor) -> Tensor:
    """A copy of the weight as it was before masking, in the weight's dtype."""
    before: _Before | None = vars(weight).get(_KEY)
    return (weight if before is None else before.original).detach().to(weight.dtype, copy=True)
