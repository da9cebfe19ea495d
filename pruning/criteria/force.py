"""FORCE (de Jorge et al., ICLR 2021, arXiv:2006.09081): foresight connection sensitivity."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.criteria.snip import loss_gradients
from pruning.masked import unmasked
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class Force:
    """S = |theta * dL/dtheta|, the gradient taken in the masked network and theta as it was before masking.

    So a removed weight has a score too and may return: masks are not nested, counts are exact all the same. Published
    with 60 exponential rounds and other examples in every round; here all rounds see the trial's prune set.
    """

    monotone = False

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Sensitivity of the pruned network's loss to each weight's being there, for removed weights too."""
        weights = prunable_weights(model)
        gradients = loss_gradients(model, data, list(weights.values()))
        return {
            name: (unmasked(weight) * gradient).abs()
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
