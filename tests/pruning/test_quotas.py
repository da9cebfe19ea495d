"""Layer quotas: exact totals, hand-computed densities, and refusals that name the layer."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning.criteria.balanced import Balanced
from pruning.criteria.erk import Erk
from pruning.criteria.igq import Igq
from pruning.criteria.smart_ratio import SmartRatio
from pruning.criteria.uniform import Uniform
from pruning.masks import Masks, Scores
from pruning.prune import prune
from pruning.quotas import LayerDensities, layer_counts, proportional

SHAPES = {"stem": torch.Size((4, 2, 3, 3)), "body": torch.Size((8, 4, 3, 3)), "classifier": torch.Size((10, 8))}
SIZES = {"stem": 72, "body": 288, "classifier": 80}
TOTAL = 440


def counts(rule: LayerDensities, num_kept: int, shapes: dict[str, torch.Size] = SHAPES) -> dict[str, int]:
    sizes = {name: shape.numel() for name, shape in shapes.items()}
    density = Decimal(num_kept) / sum(sizes.values())
    return layer_counts(rule, shapes, sizes, num_kept, density)


def test_uniform_keeps_the_same_share_of_every_layer() -> None:
    assert counts(Uniform().layer_densities, 110) == {"stem": 18, "body": 72, "classifier": 20}


def test_balanced_keeps_the_same_number_in_every_layer() -> None:
    assert counts(Balanced().layer_densities, 120) == {"stem": 40, "body": 40, "classifier": 40}


def test_balanced_gives_what_a_small_layer_cannot_hold_to_the_others() -> None:
    # 240 / 3 = 80 is more than the stem's 72: the others keep (240 - 72) / 2 = 84, the classifier only 80 of them.
    assert counts(Balanced().layer_densities, 240) == {"stem": 72, "body": 88, "classifier": 80}


def test_erk_keeps_in_proportion_to_the_sum_of_a_layers_dimensions() -> None:
    # Kept counts are in proportion to density x size = c_in + c_out + kh + kw: 12, 18 and 18 of 48.
    assert counts(Erk().layer_densities, 96) == {"stem": 24, "body": 36, "classifier": 36}
    # Ten times as many: 240 of 72 and of 80 cannot be, so both are full and the body keeps the rest.
    assert counts(Erk().layer_densities, 400) == {"stem": 72, "body": 248, "classifier": 80}


def test_igq_solves_its_one_unknown() -> None:
    # F = 1/24: 72 / (72/24 + 1) = 18, 288 / (288/24 + 1) = 22.15..., 80 / (80/24 + 1) = 18.46...
    expected = {name: 1 / (size / 24 + 1) for name, size in SIZES.items()}
    num_kept = sum((Fraction(size) / (Fraction(size, 24) + 1) for size in SIZES.values()), start=Fraction(0))
    densities = Igq().layer_densities(SHAPES, num_kept / TOTAL)
    assert densities == pytest.approx(expected, rel=1e-13)
    assert counts(Igq().layer_densities, 59) == {"stem": 18, "body": 22, "classifier": 19}


def test_igq_keeps_everything_at_density_one() -> None:
    assert counts(Igq().layer_densities, TOTAL) == SIZES


def test_smart_ratio_counts_layers_from_the_output_and_keeps_three_tenths_of_linear_ones() -> None:
    # Classifier 24. Of 124 - 24 = 100, stem (k = 3: 12 x 72 = 864) and body (k = 2: 6 x 288 = 1728) keep 1 : 2.
    assert counts(SmartRatio().layer_densities, 124) == {"stem": 33, "body": 67, "classifier": 24}


def test_smart_ratio_raises_linear_layers_where_convolutions_are_full() -> None:
    assert counts(SmartRatio().layer_densities, 400) == {"stem": 72, "body": 288, "classifier": 40}
    assert counts(SmartRatio().layer_densities, TOTAL) == SIZES


def test_smart_ratio_of_a_network_of_linear_layers_is_uniform() -> None:
    shapes = {"first": torch.Size((10, 20)), "second": torch.Size((5, 10))}
    assert counts(SmartRatio().layer_densities, 25, shapes) == {"first": 20, "second": 5}


def test_smart_ratio_refuses_a_budget_that_its_linear_layers_exceed() -> None:
    message = r"layer classifier: smart_ratio keeps 0\.3 of linear layers, 24 weights, .* leaves 20: .* below 0\.25"
    with pytest.raises(ValueError, match=message):
        counts(SmartRatio().layer_densities, 20)
    assert counts(SmartRatio(linear_density=0.1).layer_densities, 20)["classifier"] == 8


@pytest.mark.parametrize("linear_density", [-0.1, 1.5, float("nan")])
def test_smart_ratio_refuses_a_linear_density_that_is_none(linear_density: float) -> None:
    with pytest.raises(ValueError, match=rf"linear_density {linear_density}: expected 0 to 1"):
        SmartRatio(linear_density=linear_density)


def test_equal_remainders_go_to_the_earlier_layer() -> None:
    shapes = {name: torch.Size((2, 5)) for name in "abcd"}
    assert counts(Uniform().layer_densities, 2, shapes) == {"a": 1, "b": 1, "c": 0, "d": 0}
    assert counts(Uniform().layer_densities, 22, shapes) == {"a": 6, "b": 6, "c": 5, "d": 5}


rules = st.sampled_from([Uniform(), Balanced(), Erk(), Igq(), SmartRatio(linear_density=0)])
layers = st.lists(st.lists(st.integers(1, 7), min_size=2, max_size=4).map(torch.Size), min_size=1, max_size=6)


@given(rule=rules, shapes=layers, share=st.fractions(0, 1))
def test_counts_add_up_lie_within_one_of_the_quota_and_fit(
    rule: Any, shapes: list[torch.Size], share: Fraction
) -> None:
    named = {str(index): shape for index, shape in enumerate(shapes)}
    total = sum(shape.numel() for shape in shapes)
    num_kept = max(1, int(share * total))
    densities = rule.layer_densities(named, Fraction(num_kept, total))
    kept = counts(rule.layer_densities, num_kept, named)
    assert sum(kept.values()) == num_kept
    for name, shape in named.items():
        assert 0 <= kept[name] <= shape.numel()
        assert abs(kept[name] - float(densities[name]) * shape.numel()) < 1 + 1e-6


@given(shapes=layers, share=st.fractions(0, 1), data=st.data())
def test_proportional_densities_are_capped_and_otherwise_in_proportion(
    shapes: list[torch.Size], share: Fraction, data: st.DataObject
) -> None:
    named = {str(index): shape for index, shape in enumerate(shapes)}
    shares = {name: Fraction(data.draw(st.integers(1, 50))) for name in named}
    num_kept = share * sum(shape.numel() for shape in shapes)
    densities = proportional(named, shares, num_kept)
    assert sum(densities[name] * shape.numel() for name, shape in named.items()) == num_kept
    assert all(0 <= density <= 1 for density in densities.values())
    scales = {densities[name] / shares[name] for name in named if densities[name] < 1}
    assert len(scales) <= 1
    assert all(scale * shares[name] >= 1 for scale in scales for name in named if densities[name] == 1)


def weights() -> Masks:
    return {name: torch.ones(shape) for name, shape in SHAPES.items()}


def scores(masks: Masks, number: int) -> Scores:
    source = torch.Generator().manual_seed(number)
    return {name: torch.rand(mask.shape, generator=source) for name, mask in masks.items()}


@pytest.mark.parametrize("rule", [Uniform(), Balanced(), Erk(), Igq(), SmartRatio(linear_density=0.01)])
@pytest.mark.parametrize("num_rounds", [1, 2, 7, 30])
def test_totals_are_exact_and_masks_nested_in_every_round(rule: Any, num_rounds: int) -> None:
    seen: list[Masks] = []

    def record(masks: Masks, number: int) -> Scores:
        seen.append(masks)
        return scores(masks, number)

    pruned = prune(record, weights(), Decimal("0.0123"), num_rounds=num_rounds, layer_densities=rule.layer_densities)
    assert pruned.rounds[-1].kept == round(0.0123 * TOTAL)
    assert [done.kept for done in pruned.rounds] == [
        round(Fraction(Decimal("0.0123") ** (Decimal(k) / num_rounds)) * TOTAL) for k in range(1, num_rounds + 1)
    ]
    for before, after in zip(seen, [*seen[1:], pruned.masks], strict=True):
        assert not any(bool((after[name] & ~before[name]).any()) for name in SHAPES)


def test_the_highest_scores_are_kept_inside_each_layer() -> None:
    given_scores = {"a": torch.tensor([[1.0, 2.0, 3.0, 4.0]]), "b": torch.tensor([[70.0, 90.0, 80.0, 60.0]])}
    kept = prune(
        lambda masks, number: given_scores,
        given_scores,
        Decimal("0.5"),
        layer_densities=lambda shapes, density: {"a": 0.25, "b": 0.75},
    ).masks
    assert {name: mask.int().tolist() for name, mask in kept.items()} == {"a": [[0, 0, 0, 1]], "b": [[1, 1, 1, 0]]}


@pytest.mark.parametrize(
    ("densities", "message"),
    [
        ({"stem": 0.5, "body": 0.5}, "layer classifier: no density was given"),
        ({"stem": 1.25, "body": 0.5, "classifier": 0.5}, r"layer stem: density 1\.25 cannot be met, .* cap it"),
        ({"stem": -0.1, "body": 0.5, "classifier": 0.5}, r"layer stem: density -0\.1 cannot be met"),
        ({"stem": float("nan"), "body": 0.5, "classifier": 0.5}, "layer stem: density nan cannot be met"),
        ({"stem": 0.5, "body": 0.5, "classifier": 1.0}, r"keep 260 of 440 weights where density 0\.5 keeps 220: scale"),
    ],
)
def test_a_users_quota_that_cannot_be_met_is_refused(densities: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        counts(lambda shapes, density: densities, 220)


def test_a_users_float_densities_may_be_off_by_rounding() -> None:
    third = 1 / 3
    shapes = {name: torch.Size((30, 11)) for name in "abc"}
    kept = counts(lambda shapes, density: dict.fromkeys(shapes, third + 1e-12), 330, shapes)
    assert kept == {"a": 110, "b": 110, "c": 110}


def test_local_scope_contradicts_layer_densities() -> None:
    with pytest.raises(ValueError, match="scope 'local': this pruner sets each layer's density itself"):
        prune(scores, weights(), Decimal("0.5"), scope="local", layer_densities=Erk().layer_densities)


def test_a_density_that_keeps_no_weight_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"density 0\.001 of 440 prunable weights leaves none: .* from density 0\.00227 on"
    ):
        prune(scores, weights(), Decimal("0.001"), layer_densities=Erk().layer_densities)
