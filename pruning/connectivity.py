"""Which weights still matter: those on a path of kept weights from an input to an output.

A kept weight on no such path is dead: it counts towards the direct density but not the effective one. Paths are
found by pushing ones through the masks themselves and differentiating: a weight's gradient is positive exactly if a
path runs through it. Each layer's output, and the gradient that comes back to it, is cut to 0 or 1: only whether a path
exists matters, and the number of paths would overflow, or underflow if normalised, in networks of hundreds of layers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from pruning.linear_view import to_linear_view
from pruning.masks import Masks
from pruning.prunable import PRUNABLE_LAYERS, prunable_offsets, prunable_weights

_NORMALISATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True, kw_only=True)
class Connectivity:
    """What of a pruned network is still wired through."""

    live: Masks
    """Per prunable weight: True where it is kept and lies on a path from an input to an output."""
    is_connected: bool
    """Whether any path of kept weights leads from an input to an output."""


def connectivity(model: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Connectivity:
    """Live weights of `model` under `masks`, for inputs of `input_shape` (channels, height, width).

    A prunable offset is live where a path leads on from it; the path need not start at an input.
    The model is left untouched. Exact for compositions of linear maps, normalisation and pooling modules, sums and
    concatenations with increasing activations that map zero to zero (a sigmoid feeds constants instead), at any depth.
    """
    probe = copy.deepcopy(model).double()
    _replace_pooling_and_normalisation(probe)
    to_linear_view(probe)
    weights = prunable_weights(probe)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(masks[name])
            weight.requires_grad_()
        for offset in prunable_offsets(probe):
            offset.zero_()  # no source of flow: it is live where its unit's output matters
    for module in probe.modules():
        if isinstance(module, PRUNABLE_LAYERS):
            module.register_forward_hook(lambda layer, inputs, output: _whether_positive(output))
    device = next(iter(weights.values())).device
    flow = probe(torch.ones(1, *input_shape, dtype=torch.float64, device=device)).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    live = {name: masks[name] & (gradient > 0) for name, gradient in zip(weights, gradients, strict=True)}
    return Connectivity(live=live, is_connected=bool(flow > 0))


class _WhetherPositive(torch.autograd.Function):
    """1 where positive, else 0, in both directions."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return (values > 0).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return (gradient > 0).to(gradient.dtype)


def _whether_positive(values: Tensor) -> Tensor:
    return cast(Tensor, _WhetherPositive.apply(values))


def _replace_pooling_and_normalisation(model: nn.Module) -> None:
    """Max-pooling passes the gradient to one winner only; the mean passes it to every position that can be one.

    Normalisation removes no path, but one that subtracts a mean turns positive flow negative: it becomes the identity,
    unless its scale is prunable.
    """
    prunable = {id(weight) for weight in prunable_weights(model).values()}
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, ceil_mode=child.ceil_mode)
                setattr(module, name, mean)
            elif isinstance(child, nn.AdaptiveMaxPool2d):
                setattr(module, name, nn.AdaptiveAvgPool2d(child.output_size))
            elif isinstance(child, _NORMALISATIONS) and id(child.weight) in prunable:
                cast(_NormBase, child).reset_running_stats()
            elif isinstance(child, _NORMALISATIONS):
                setattr(module, name, nn.Identity())
