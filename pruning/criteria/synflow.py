"""SynFlow (Tanaka, Kunin, Yamins, Ganguli, NeurIPS 2020, arXiv:2006.05467): pruning without data."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.linear_view import to_linear_view
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class SynFlow:
    """S = |theta * dR/dtheta|, R = 1' (prod_l |theta_l|) 1: the flow through each weight (eq. 4).

    Differs from the authors' code, which takes abs() of the whole state dict: that turns negative running means and
    biases into spurious sources and breaks conservation on trained networks. Here biases and running means are zero
    and BatchNorm is the positive scale |gamma| / sqrt(var + eps), so the network is linear on the ones input and the
    score into every hidden unit equals the score out of it. Only the shape of `data` is used.
    """

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Synaptic saliency of every weight."""
        to_linear_view(model)
        weights = prunable_weights(model)
        ones = torch.ones_like(data.inputs[:1])
        flow = model(ones).sum()
        gradients = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
        return {
            name: (weight.detach() * gradient).abs()
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
