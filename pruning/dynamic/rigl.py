"""RigL, the rigged lottery (Evci et al., ICML 2020, arXiv:1911.11134)."""

from __future__ import annotations

import torch
from torch import Tensor

from pruning.dynamic.contract import Moment
from pruning.dynamic.rewiring import Rewiring


class RigL(Rewiring):
    """Grow where the loss falls fastest: the highest |gradient| among weights that are not kept.

    The fraction dropped falls by a cosine from `drop` to 0 (equation 1). Defaults are the paper's for ResNet-50:
    alpha 0.3, updates every 100 steps until three quarters of the training, ERK layer densities.
    """

    def drop_fraction(self, moment: Moment) -> float:
        """Annealed."""
        return self.annealed(moment)

    def growth(self, weight: Tensor, gradient: Tensor, generator: torch.Generator) -> Tensor:
        """|gradient|."""
        return gradient.abs()
