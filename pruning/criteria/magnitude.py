"""Magnitude pruning (Janowsky 1989; Han et al. 2015), here at initialisation."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class Magnitude:
    """S = |theta|. Ranked globally it empties the layers that are initialised smallest, which are the widest."""

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Absolute values of the weights."""
        return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
