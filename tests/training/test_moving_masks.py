"""A dynamic pruner that has no occasion to act is refused rather than recorded as what it was not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pruning.dynamic.gmp import Gmp
from pruning.dynamic.rigl import RigL
from pruning.dynamic.set import Set
from training.moving_masks import MovingMasks


@pytest.mark.parametrize("kind", [RigL, Set])
def test_masks_that_would_never_change_are_refused_with_the_remedy(kind: type[RigL] | type[Set]) -> None:
    # changes come every 10 steps before three quarters of the training
    MovingMasks(kind(every=10), density=Decimal("0.1"), num_steps=14, seed=0)
    with pytest.raises(ValueError, match=rf"{kind.__name__} would never change a mask in 13 steps .*every"):
        MovingMasks(kind(every=10), density=Decimal("0.1"), num_steps=13, seed=0)


def test_gradual_pruning_without_a_step_of_training_is_refused() -> None:
    MovingMasks(Gmp(), density=Decimal("0.1"), num_steps=1, seed=0)  # the target is met at its end, whatever `every`
    with pytest.raises(ValueError, match="Gmp would never change a mask in 0 steps"):
        MovingMasks(Gmp(), density=Decimal("0.1"), num_steps=0, seed=0)
