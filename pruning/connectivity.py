"""Which weights still matter: those on a path of kept weights from an input to an output.

A kept weight on no such path is dead: it counts towards the direct density but not the effective one. Paths are
counted by pushing ones through the masks themselves (fan-in normalised, so that depth cannot overflow) and
differentiating: a weight's gradient is positive exactly if a path runs through it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from pruning.linear_view import to_linear_view
from pruning.masks import Masks
from pruning.prunable import prunable_weights


@dataclass(frozen=True, kw_only=True)
class Connectivity:
    """What of a pruned network is still wired through."""

    live: Masks
    """Per prunable weight: True where it is kept and lies on a path from an input to an output."""
    is_connected: bool
    """Whether any path of kept weights leads from an input to an output."""


def connectivity(model: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Connectivity:
    """Live weights of `model` under `masks`, for inputs of `input_shape` (channels, height, width).

    The model is left untouched. Exact for compositions of linear maps, normalisations, pooling modules, sums and
    concatenations with monotone activations; values stay far from float64's limits for a few hundred layers.
    """
    probe = copy.deepcopy(model).double()
    _replace_max_pooling(probe)
    to_linear_view(probe)
    weights = prunable_weights(probe)
    with torch.no_grad():
        for module in probe.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.reset_running_stats()
                if module.affine:
                    module.weight.fill_(1.0)
        for name, weight in weights.items():
            mask = masks[name].double()
            fan_in = mask.flatten(1).sum(1).clamp(min=1).view(-1, *[1] * (mask.dim() - 1))
            weight.copy_(mask / fan_in)
    device = next(iter(weights.values())).device
    flow = probe(torch.ones(1, *input_shape, dtype=torch.float64, device=device)).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()))
    live = {name: masks[name] & (gradient > 0) for name, gradient in zip(weights, gradients, strict=True)}
    return Connectivity(live=live, is_connected=bool(flow > 0))


def _replace_max_pooling(model: nn.Module) -> None:
    """Max-pooling passes the gradient to one winner only; the mean passes it to every position that can be one."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, ceil_mode=child.ceil_mode)
                setattr(module, name, mean)
