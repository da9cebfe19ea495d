"""Magnitude pruning (Janowsky 1989; Han et al. 2015), here at initialisation."""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class Magnitude:
    """S = |theta|^power. Ranked globally it empties the layers that are initialised smallest, which are the widest.

    The power, 1 as published, changes no mask: with 2 the scores that are recorded are squared weights, which training
    makes conserved (figure 5b of the SynFlow paper).
    """

    power: float = 1

    def __init__(self, power: float = 1) -> None:
        if not power > 0:
            raise ValueError(f"magnitude's power {power}: expected a positive number (1: absolute values)")
        self.power = power

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Absolute values of the weights, to the power."""
        sizes = {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
        return sizes if self.power == 1 else {name: size**self.power for name, size in sizes.items()}
