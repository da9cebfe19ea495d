"""SynFlow-L2 (Patil and Dovrolis, ICML 2021, arXiv:2010.11354): SynFlow on squared weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruning.criteria.contract import PruneSet
from pruning.flow_rounds import prune_by_flow
from pruning.linear_view import UnitScale, synaptic_flow, to_linear_view
from pruning.masks import Scores
from pruning.prunable import prunable_weights
from pruning.prune import Pruned
from pruning.scaled import fits, times_power_of_two


class SynFlowL2:
    """S = theta^2 * dR/d(theta^2), R = 1' (prod_l theta_l^2) 1: the squared paths through each weight.

    R is the trace of the path kernel where all inputs are one, which is what PHEW sets out to keep large. BatchNorm is
    a scale like any other weight on a path and is squared as one, gamma^2 / (var + eps). Biases and running means are
    zero, which the authors' code, squaring the whole state dict, does not do. As in SynFlow, a power of two is taken
    out where R does not fit the dtype.
    Only the shape of `data` is used.
    """

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Synaptic saliency of every squared weight."""
        _to_squared_view(model)
        weights = prunable_weights(model)
        flow, exponent = synaptic_flow(model, torch.ones_like(data.inputs[:1]))
        gradients = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
        if not fits(flow, exponent):
            exponent = 0
        return {
            name: times_power_of_two(weight.detach() * gradient, exponent)
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }

    def prune(self, model: nn.Module, data: PruneSet, densities: Sequence[Decimal], scope: str) -> Pruned:
        """Masks after a round for each of `densities`, as scoring round by round gives them, on one squared view."""
        _to_squared_view(model)
        return prune_by_flow(model, torch.ones_like(data.inputs[:1]), densities, scope)


@torch.no_grad()
def _to_squared_view(model: nn.Module) -> None:
    to_linear_view(model)
    weights = prunable_weights(model)
    for weight in weights.values():
        weight.square_()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            _square_scale(module, weights.values())
        elif isinstance(module, UnitScale):
            module.scale.square_()


def _square_scale(module: _BatchNorm, squared: Iterable[Tensor]) -> None:
    if module.weight is not None and not any(module.weight is weight for weight in squared):
        module.weight.square_()
    if module.running_var is not None:
        module.running_var.copy_((module.running_var + module.eps).square() - module.eps)
