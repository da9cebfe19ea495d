"""SNIP (Lee, Ajanthan, Torr, ICLR 2019, arXiv:1810.02340)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning.criteria.contract import PruneSet
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class Snip:
    """S = |theta * dL/dtheta| (eq. 4 with c = 1), L the mean cross-entropy over the prune set.

    Differs from the authors' code of SynFlow in the mean: it sums each batch's mean, which weights a last, smaller
    batch too heavily. Normalising by the sum of all scores (eq. 6) does not change the ranking and is left out.
    """

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Connection sensitivity of every weight."""
        weights = prunable_weights(model)
        gradients = loss_gradients(model, data, list(weights.values()))
        return {
            name: (weight.detach() * gradient).abs()
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }


def loss_gradients(model: nn.Module, data: PruneSet, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Gradient of the mean cross-entropy over the whole prune set, one tensor a parameter."""
    gradients = [torch.zeros_like(parameter) for parameter in parameters]
    for inputs, targets in data.batches():
        loss = F.cross_entropy(model(inputs), targets, reduction="sum") / len(data.targets)
        for total, part in zip(gradients, torch.autograd.grad(loss, parameters, materialize_grads=True), strict=True):
            total.add_(part)
    return gradients
