"""Random pruning: the baseline that every criterion must beat."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class Random:
    """S = U(0, 1), independent for every weight.

    Drawn in float64: float32 has 2^24 values, so 100,000 weights would tie hundreds of times and ties go to the
    earlier layer. The authors' code draws normal scores; ranked globally, any continuous law gives the same masks.
    """

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """One independent uniform number a weight."""
        return {
            name: torch.rand(weight.shape, generator=generator, dtype=torch.float64, device=weight.device)
            for name, weight in prunable_weights(model).items()
        }
