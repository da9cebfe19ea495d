"""Iterative pruning: exact after every round, nested, and honest about what each round removed."""

from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning.masks import Masks, Scores
from pruning.prune import Pruned, prune
from pruning.schedules import SCHEDULES

SHAPES = {"first": (7, 5), "second": (4, 3, 2), "third": (11,)}
TOTAL = 35 + 24 + 11


def weights() -> Masks:
    return {name: torch.ones(shape) for name, shape in SHAPES.items()}


def fresh_scores(seed: int, round_number: int, num_values: int = 1000) -> Scores:
    """Unrelated scores each round, so that only the nesting rule can keep removed weights out."""
    generator = torch.Generator().manual_seed(1000 * seed + round_number)
    return {
        name: torch.randint(-num_values, num_values, shape, generator=generator).double() / 7
        for name, shape in SHAPES.items()
    }


def recorded(density: Decimal, num_rounds: int, schedule: str, scope: str, seed: int) -> tuple[Pruned, list[Masks]]:
    """The result, and the masks that the score callback saw before each round."""
    seen: list[Masks] = []

    def score(masks: Masks, round_number: int) -> Scores:
        assert round_number == len(seen) + 1
        seen.append({name: mask.clone() for name, mask in masks.items()})
        return fresh_scores(seed, round_number)

    result = prune(score, weights(), density, num_rounds=num_rounds, schedule=schedule, scope=scope)
    return result, [*seen, result.masks]


runs = {
    "density": st.integers(30, 1000).map(lambda n: Decimal(n).scaleb(-3)),
    "num_rounds": st.integers(1, 12),
    "schedule": st.sampled_from(sorted(SCHEDULES)),
    "scope": st.sampled_from(["global", "local"]),
    "seed": st.integers(0, 9),
}


@given(**runs)
def test_every_round_keeps_exactly_the_scheduled_number(
    density: Decimal, num_rounds: int, schedule: str, scope: str, seed: int
) -> None:
    result, history = recorded(density, num_rounds, schedule, scope, seed)
    shares = [Fraction(step) for step in SCHEDULES[schedule](density, num_rounds)]
    assert all(bool(mask.all()) for mask in history[0].values())
    for share, masks, done in zip(shares, history[1:], result.rounds, strict=True):
        counts = {name: int(mask.sum()) for name, mask in masks.items()}
        if scope == "local":
            assert counts == {name: round(share * mask.numel()) for name, mask in masks.items()}
        else:
            assert sum(counts.values()) == round(share * TOTAL)
        assert done.kept == sum(counts.values())
        assert done.density == done.kept / TOTAL
    assert [done.round for done in result.rounds] == list(range(1, num_rounds + 1))


@given(**runs)
def test_masks_are_nested_across_rounds(
    density: Decimal, num_rounds: int, schedule: str, scope: str, seed: int
) -> None:
    _, history = recorded(density, num_rounds, schedule, scope, seed)
    for before, after in itertools.pairwise(history):
        assert not any(bool((after[name] & ~before[name]).any()) for name in SHAPES)


@given(**runs)
def test_score_cut_and_flow_are_sums_over_removed_and_over_live_weights(
    density: Decimal, num_rounds: int, schedule: str, scope: str, seed: int
) -> None:
    result, history = recorded(density, num_rounds, schedule, scope, seed)
    for number, (before, after, done) in enumerate(zip(history, history[1:], result.rounds, strict=False), start=1):
        live = removed = 0.0
        for name, scores in fresh_scores(seed, number).items():
            rows = zip(scores.flatten(), before[name].flatten(), after[name].flatten(), strict=True)
            for score, was_kept, is_kept in rows:
                live += float(score) * bool(was_kept)
                removed += float(score) * bool(was_kept and not is_kept)
        assert done.flow == pytest.approx(live / len(SHAPES), rel=1e-12, abs=1e-9)
        assert done.score_cut == pytest.approx(removed, rel=1e-12, abs=1e-9)


def test_score_cut_does_not_drown_in_what_is_kept() -> None:
    scores = {"layer": torch.tensor([1e20, 1e-3, 2e-3, 4e-3], dtype=torch.float64)}
    result = prune(lambda masks, number: scores, scores, Decimal("0.5"))
    assert result.rounds[0].score_cut == 1e-3 + 2e-3


def test_removed_weights_have_no_score_in_the_result() -> None:
    """A criterion may return anything for weights that are gone, NaN included."""

    def score(masks: Masks, round_number: int) -> Scores:
        return {
            name: torch.full_like(mask, 2.0, dtype=torch.float64).masked_fill(~mask, float("nan"))
            for name, mask in masks.items()
        }

    result = prune(score, weights(), Decimal("0.1"), num_rounds=2)
    alive_in_the_last_round = round(TOTAL * 0.1**0.5)
    assert sum(float(scores.sum()) for scores in result.scores.values()) == 2.0 * alive_in_the_last_round


def test_scores_given_to_prune_are_not_changed() -> None:
    scores = fresh_scores(3, 1)
    before = {name: tensor.clone() for name, tensor in scores.items()}
    prune(lambda masks, number: scores, weights(), Decimal("0.2"), num_rounds=3)
    assert all(torch.equal(scores[name], before[name]) for name in scores)


@pytest.mark.parametrize("num_values", [1000, 1])
def test_equal_scores_give_equal_masks(num_values: int) -> None:
    def run() -> Masks:
        return prune(
            lambda masks, number: fresh_scores(5, number, num_values), weights(), Decimal("0.1"), num_rounds=5
        ).masks

    first, second = run(), run()
    assert all(torch.equal(first[name], second[name]) for name in SHAPES)


def test_literal_masks_of_two_rounds() -> None:
    # Round 1 (density 0.5) removes 1 and 2; in round 2 (0.25) their high scores cannot bring them back.
    rounds = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([9.0, 9.0, 6.0, 5.0])]
    result = prune(
        lambda masks, number: {"layer": rounds[number - 1]}, {"layer": rounds[0]}, Decimal("0.25"), num_rounds=2
    )
    assert result.masks["layer"].tolist() == [False, False, True, False]
    assert [(r.kept, r.density, r.score_cut, r.flow) for r in result.rounds] == [
        (2, 0.5, 3.0, 10.0),
        (1, 0.25, 5.0, 11.0),
    ]


def test_layers_that_deviate_and_that_collapse_by_hand() -> None:
    # Round 1 (2 of 6 weights are left) empties the second layer; in round 2 the third has all the score.
    rounds = [
        {"a": [4.0, 5.0, 1.0], "b": [2.0, 0.0], "c": [6.0]},
        {"a": [0.0, 0.0, 9.0], "b": [9.0, 9.0], "c": [3.0]},
    ]
    given = [{name: torch.tensor(scores) for name, scores in one.items()} for one in rounds]
    result = prune(lambda masks, number: given[number - 1], given[0], Decimal("0.17"), num_rounds=2)
    first, second = result.rounds
    assert (first.layer_scores, first.flow, first.collapsed_layers) == ((10.0, 2.0, 6.0), 6.0, 1)
    assert first.layer_deviation == pytest.approx(4 / 6)  # |10 - 6| / 6 and |2 - 6| / 6
    assert (second.layer_scores, second.flow, second.collapsed_layers) == ((0.0, 0.0, 3.0), 1.0, 2)
    assert second.layer_deviation == 2.0


def test_the_deviation_of_layers_without_any_score_is_not_defined() -> None:
    nothing = {"a": torch.zeros(3), "b": torch.zeros(2)}
    (done,) = prune(lambda masks, number: nothing, nothing, Decimal("0.4")).rounds
    assert (done.flow, done.layer_deviation) == (0.0, None)


@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_density_that_keeps_no_weight_is_refused(scope: str) -> None:
    with pytest.raises(ValueError, match=f"density 0.001 of {TOTAL} prunable weights leaves none"):
        prune(lambda masks, number: fresh_scores(0, number), weights(), Decimal("0.001"), scope=scope)


@pytest.mark.parametrize("num_rounds", [0, -3])
def test_fewer_rounds_than_one_are_refused(num_rounds: int) -> None:
    with pytest.raises(ValueError, match=f"{num_rounds} rounds: expected at least 1"):
        prune(lambda masks, number: fresh_scores(0, number), weights(), Decimal("0.5"), num_rounds=num_rounds)


def test_an_unknown_schedule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="schedule 'cubic': expected one of exponential, linear"):
        prune(lambda masks, number: fresh_scores(0, number), weights(), Decimal("0.5"), schedule="cubic")
