"""Parameters that a small network leaves out, and what training does to them all the same.

Their gradient is exactly zero, but they are not at rest: weight decay shrinks them, and momentum keeps what it shrank.
They travel with the small network as two flat parameters with a gradient of zero, so that any optimizer treats them as
it does in the full network, whatever its schedule.

Parameters of modules that the output is not computed from have no gradient at all: optimizers pass them over, and so
does this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from pruning.masks import Masks
from training.compaction.build import Slot


class _WithIdle(torch.autograd.Function):
    """The first argument as it is; the others get a gradient of zero."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, *idle: Tensor) -> Tensor:
        ctx.idle = [(tensor.shape, tensor.dtype, tensor.device) for tensor in idle]
        return logits.view_as(logits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return gradient, *(torch.zeros(shape, dtype=dtype, device=device) for shape, dtype, device in ctx.idle)


def with_idle(logits: Tensor, idle: Sequence[nn.Parameter | None]) -> Tensor:
    """`logits`, with a gradient of zero for parameters that nothing is computed from."""
    present = [parameter for parameter in idle if parameter is not None]
    return cast(Tensor, _WithIdle.apply(logits, *present)) if present else logits


class Idle(nn.Module):
    """The parameters left out; weights have two dimensions and offsets one, as rules of weight decay ask for."""

    weights: nn.Parameter | None
    offsets: nn.Parameter | None

    def __init__(self, model: nn.Module, masks: Masks, slots: list[Slot], parameters: set[str]) -> None:
        super().__init__()
        self.places: list[tuple[str, str, Tensor, slice]] = []
        """(name here, full name, flat indices there, slice here)."""
        left_out: dict[str, list[Tensor]] = {"weights": [], "offsets": []}
        start = dict.fromkeys(left_out, 0)
        for name, parameter in model.named_parameters():
            if name not in parameters:
                continue
            idle = masks[name].clone() if name in masks else torch.ones_like(parameter, dtype=torch.bool)
            for slot in slots:
                if slot.full_name == name:
                    idle[slot.index] = False
            index = idle.flatten().nonzero().flatten()
            if parameter.requires_grad and len(index):
                kind = "weights" if parameter.dim() > 1 else "offsets"
                left_out[kind].append(parameter.detach().flatten()[index])
                self.places.append((kind, name, index, slice(start[kind], start[kind] + len(index))))
                start[kind] += len(index)
        for kind, values in left_out.items():
            joined = torch.cat(values) if values else None
            shaped = None if joined is None else joined[:, None] if kind == "weights" else joined
            self.register_parameter(kind, None if shaped is None else nn.Parameter(shaped))

    def forward(self, logits: Tensor) -> Tensor:
        """`logits`, with a gradient of zero for everything here."""
        return with_idle(logits, [self.weights, self.offsets])

    def write_into(self, state: dict[str, Tensor]) -> None:
        """Put the values at their places in a full state."""
        for kind, name, index, here in self.places:
            state[name].view(-1)[index] = getattr(self, kind).detach().flatten()[here]
