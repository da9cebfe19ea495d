"""SynFlow (Tanaka, Kunin, Yamins, Ganguli, NeurIPS 2020, arXiv:2006.05467): pruning without data."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.flow_rounds import prune_by_flow
from pruning.linear_view import synaptic_flow, to_linear_view
from pruning.masks import Scores
from pruning.prunable import prunable_weights
from pruning.prune import Pruned
from pruning.scaled import fits, times_power_of_two


class SynFlow:
    """S = |theta * dR/dtheta|, R = 1' (prod_l |theta_l|) 1: the flow through each weight (eq. 4).

    Differs from the authors' code in two ways. It takes abs() of the whole state dict, which turns negative running
    means and biases into spurious sources and breaks conservation on trained networks; here biases and running means
    are zero and BatchNorm is the positive scale |gamma| / sqrt(var + eps), so the network is linear on the ones input
    and the score into every hidden unit equals the score out of it. And it overflows on deep networks; here a power of
    two is taken out where needed: scores are exact where R fits the dtype and otherwise S / 2^K with one K for the
    whole network, so that ranking, ties and every ratio of scores are those of S. Only the shape of `data` is used.
    """

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Synaptic saliency of every weight."""
        to_linear_view(model)
        weights = prunable_weights(model)
        flow, exponent = synaptic_flow(model, torch.ones_like(data.inputs[:1]))
        gradients = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
        if not fits(flow, exponent):
            exponent = 0
        return {
            name: times_power_of_two((weight.detach() * gradient).abs(), exponent)
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }

    def prune(self, model: nn.Module, data: PruneSet, densities: Sequence[Decimal], scope: str) -> Pruned:
        """Masks after a round for each of `densities`, as scoring round by round gives them, on one linear view."""
        to_linear_view(model)
        return prune_by_flow(model, torch.ones_like(data.inputs[:1]), densities, scope)
