"""LAMP: layer-adaptive magnitude pruning (Lee, Park, Mo, Ahn, Shin, ICLR 2021, arXiv:2010.07611)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pruning.criteria.contract import PruneSet
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class Lamp:
    """S = theta^2 / (sum of theta'^2 over the weights theta' of its layer with |theta'| >= |theta|).

    The largest weight of a layer scores 1, so ranked globally every layer keeps one until layers outnumber weights.
    Removing smaller weights changes no score, so rounds do not matter. Equal weights get equal scores; the
    authors' code breaks ties by position. Squares and sums are in float64: in float32 the square of 1e-23 is zero.
    """

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Share of each weight in what is left of its layer when all smaller ones are gone."""
        return {name: _lamp(weight.detach()) for name, weight in prunable_weights(model).items()}


def _lamp(weight: Tensor) -> Tensor:
    squares = weight.double().square().flatten().cpu()  # GPUs sum in no fixed order
    ascending = squares.sort().values
    not_smaller = ascending.flip(0).cumsum(0).flip(0)
    first_of_equals = torch.searchsorted(ascending, squares).clamp(max=len(squares) - 1)  # NaN would be beyond the end
    return torch.where(squares == 0, squares, squares / not_smaller[first_of_equals]).view_as(weight).to(weight.device)
