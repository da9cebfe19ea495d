"""Magnitude is the absolute value."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.criteria.magnitude import Magnitude
from tests.pruning.networks import prune_set


def test_the_score_is_the_absolute_value() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.5, -2.0, 0.0], [-0.25, 4.0, -1e-8]]))
    scores = Magnitude().score(layer, prune_set(), torch.Generator())
    assert torch.equal(scores["weight"], torch.tensor([[1.5, 2.0, 0.0], [0.25, 4.0, 1e-8]]))
    assert list(scores) == ["weight"]


def test_a_power_of_two_scores_squares_and_a_power_must_be_positive() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.5, -2.0, 0.0], [-0.25, 4.0, -1.0]]))
    scores = Magnitude(power=2).score(layer, prune_set(), torch.Generator())
    assert torch.equal(scores["weight"], torch.tensor([[2.25, 4.0, 0.0], [0.0625, 16.0, 1.0]]))
    with pytest.raises(ValueError, match="magnitude's power 0: expected a positive number"):
        Magnitude(power=0)
