"""Pruning during training, against hand-computed masks and the papers' formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

import pytest
import torch

from pruning.criteria.erk import Erk
from pruning.dynamic.contract import Moment
from pruning.dynamic.gmp import Gmp
from pruning.dynamic.rewiring import Rewiring
from pruning.dynamic.rigl import RigL
from pruning.dynamic.set import Set
from pruning.masks import Masks, count_kept
from pruning.quotas import layer_counts

SHAPES = {"conv.weight": (6, 3, 3, 3), "hidden.weight": (20, 24), "out.weight": (10, 20)}
TOTAL = 162 + 480 + 200


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=source) for name, shape in SHAPES.items()}


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def per_layer(masks: Masks) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks.items()}


@pytest.mark.parametrize("kind", [RigL, Set])
def test_rewiring_starts_with_exactly_erks_layer_counts(kind: type[Rewiring]) -> None:
    shapes = {name: torch.Size(shape) for name, shape in SHAPES.items()}
    sizes = {name: shape.numel() for name, shape in shapes.items()}
    masks = kind().start(weights(), Decimal("0.1"), source())
    assert per_layer(masks) == layer_counts(Erk().layer_densities, shapes, sizes, 84, Decimal("0.1"))
    assert count_kept(masks) == 84
    again = kind().start(weights(), Decimal("0.1"), source())
    other = kind().start(weights(), Decimal("0.1"), source(1))
    assert all(torch.equal(masks[name], again[name]) for name in masks)
    assert any(not torch.equal(masks[name], other[name]) for name in masks)


def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_largest() -> None:
    weight = {"w": torch.tensor([[0.5, -0.1, 0.9, -0.3, 0.0, 0.0, 0.0, 0.0]])}
    mask = {"w": torch.tensor([[True, True, True, True, False, False, False, False]])}
    gradient = {"w": torch.tensor([[9.0, 0.2, 9.0, 9.0, 0.1, -0.7, 0.3, 0.4]])}
    pruner = RigL(drop=0.5, every=1, stop=1.0)
    start_of_training = Moment(step=1, num_steps=10**9)  # the cosine is 1: half of four weights go
    masks = pruner.update(weight, gradient, mask, Decimal("0.5"), start_of_training, source())
    # -0.1 and -0.3 go; of what is not kept now, |gradient| is 9.0 for -0.3, which returns at once, and 0.7
    assert masks["w"].tolist() == [[True, False, True, True, False, True, False, False]]


def test_a_dropped_weight_with_a_small_gradient_does_not_return() -> None:
    weight = {"w": torch.tensor([0.5, 0.1, 0.9, 0.3, 0.0, 0.0])}
    mask = {"w": torch.tensor([True, True, True, True, False, False])}
    gradient = {"w": torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, -2.0])}
    masks = RigL(drop=0.5, every=1, stop=1.0).update(
        weight, gradient, mask, Decimal("0.5"), Moment(step=1, num_steps=10**9), source()
    )
    assert masks["w"].tolist() == [True, False, True, False, True, True]


def test_rigls_fraction_falls_by_a_cosine_to_zero_and_sets_is_constant() -> None:
    rigl, evolutionary = RigL(drop=0.3, stop=0.75), Set(drop=0.3, stop=0.75)
    for step in (1, 250, 500, 749):
        moment = Moment(step=step, num_steps=1000)
        assert rigl.drop_fraction(moment) == pytest.approx(0.15 * (1 + math.cos(step * math.pi / 750)), rel=1e-12)
        assert evolutionary.drop_fraction(moment) == 0.3
    assert rigl.drop_fraction(Moment(step=750, num_steps=1000)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("pruner", [RigL(every=10), Set(every=10)], ids=["rigl", "set"])
def test_rewiring_keeps_every_layers_count_and_its_largest_weights(pruner: Rewiring) -> None:
    current, generator = weights(), source()
    masks = pruner.start(current, Decimal("0.2"), generator)
    before = per_layer(masks)
    for step in range(10, 700, 10):
        moment = Moment(step=step, num_steps=1000)
        assert pruner.is_due(moment)
        masked = {name: weight * masks[name] for name, weight in current.items()}
        new = pruner.update(masked, weights(step), masks, Decimal("0.2"), moment, generator)
        assert per_layer(new) == before
        for name, mask in new.items():
            num_dropped = int(pruner.drop_fraction(moment) * before[name])
            largest = masked[name].abs().flatten().topk(before[name] - num_dropped).indices
            assert mask.flatten()[largest].all()
            if num_dropped > 1 and isinstance(pruner, Set):
                assert not torch.equal(mask, masks[name])
        masks = new
    assert not pruner.is_due(Moment(step=750, num_steps=1000))
    assert not pruner.is_due(Moment(step=105, num_steps=1000))


def test_gmp_follows_the_cubic_schedule_and_ends_exactly_at_the_target() -> None:
    pruner, current, density = Gmp(begin=0.1, end=0.55, every=100), weights(), Decimal("0.01")
    masks = pruner.start(current, density, source())
    assert count_kept(masks) == TOTAL
    moments = [Moment(step=step, num_steps=1000) for step in range(1, 1001)]
    due = [moment for moment in moments if pruner.is_due(moment)]
    assert [moment.step for moment in due] == [200, 300, 400, 500, 550]
    for moment in due:
        previous = masks
        masks = pruner.update(current, {}, masks, density, moment, source())
        # equation 1: s_t = s_f + (0 - s_f) (1 - (t - t_0) / (n dt))^3
        sparsity = 0.99 - 0.99 * (1 - (moment.step - 100) / 450) ** 3
        assert count_kept(masks) == round((1 - sparsity) * TOTAL)
        assert all((mask <= previous[name]).all() for name, mask in masks.items())
    assert count_kept(masks) == 8  # 8.42 rounded
    kept = torch.cat([current[name][mask].abs() for name, mask in masks.items()])
    gone = torch.cat([current[name][~mask].abs() for name, mask in masks.items()])
    assert kept.min() >= gone.max()


def test_short_trainings_reach_the_target_too() -> None:
    for num_steps in (1, 2, 3, 10, 99):
        pruner = Gmp()
        due = [step for step in range(1, num_steps + 1) if pruner.is_due(Moment(step=step, num_steps=num_steps))]
        assert due, num_steps
        assert pruner.density_at(Decimal("0.1"), Moment(step=due[-1], num_steps=num_steps)) == Decimal("0.1")


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Gmp(begin=0.8, end=0.5), "begin 0.8 and end 0.5"),
        (lambda: Gmp(end=1.5), "end 1.5: expected a number from 0 to 1"),
        (lambda: RigL(drop=-0.1), "drop -0.1"),
        (lambda: RigL(every=0), "every 0: expected a whole number of steps"),
        (lambda: Set(distribution="global"), "distribution 'global': expected one of erk, uniform"),
        (lambda: RigL().start(weights(), Decimal("0.0001"), source()), "leaves none"),
    ],
)
def test_bad_options_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=named.replace("(", r"\(")):
        make()
