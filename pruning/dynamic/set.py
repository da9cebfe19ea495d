"""Sparse evolutionary training (Mocanu et al. 2018, arXiv:1707.04780)."""

from __future__ import annotations

import torch
from torch import Tensor

from pruning.dynamic.rewiring import Rewiring


class Set(Rewiring):
    """Grow at random, the fraction dropped constant (zeta = 0.3).

    The paper drops the smallest positive and the largest negative weights, which is a magnitude criterion of each sign;
    as in RigL's comparison, magnitudes are ranked together. It rewires after every epoch: here every `every` steps.
    """

    def growth(self, weight: Tensor, gradient: Tensor, generator: torch.Generator) -> Tensor:
        """U(0, 1)."""
        return torch.rand(weight.shape, generator=generator, device=weight.device)
