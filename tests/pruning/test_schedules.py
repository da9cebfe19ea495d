"""Densities after each round."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.density import kept_count
from pruning.schedules import SCHEDULES, densities_by_round, exponential, linear, stops_above

densities = st.integers(1, 10**9).map(lambda n: Decimal(n).scaleb(-9).normalize())
names = st.sampled_from(sorted(SCHEDULES))


@given(name=names, density=densities, num_rounds=st.integers(1, 120))
def test_a_schedule_never_grows_and_ends_exactly_at_the_target(name: str, density: Decimal, num_rounds: int) -> None:
    steps = SCHEDULES[name](density, num_rounds)
    assert len(steps) == num_rounds
    assert steps[-1] == density
    assert all(before >= after for before, after in zip([Decimal(1), *steps], steps, strict=False))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("num_rounds", [1000, 4000])
def test_thousands_of_rounds_never_grow(name: str, num_rounds: int) -> None:
    density = Decimal("0.999999999999")
    steps = SCHEDULES[name](density, num_rounds)
    assert len(steps) == num_rounds
    assert steps[-1] == density
    assert steps == sorted(steps, reverse=True)


@given(density=densities, num_rounds=st.integers(1, 120))
def test_exponential_is_the_papers_formula(density: Decimal, num_rounds: int) -> None:
    expected = [float(density) ** (k / num_rounds) for k in range(1, num_rounds + 1)]
    assert [float(step) for step in exponential(density, num_rounds)] == pytest.approx(expected, rel=1e-12)


@given(density=densities, num_rounds=st.integers(1, 120))
def test_linear_removes_the_same_share_every_round(density: Decimal, num_rounds: int) -> None:
    expected = [1 - (1 - float(density)) * k / num_rounds for k in range(1, num_rounds + 1)]
    assert [float(step) for step in linear(density, num_rounds)] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
@pytest.mark.parametrize("num_rounds", [2, 3, 7, 100])
def test_exponential_steps_that_are_decimals_are_those_decimals(digits: int, num_rounds: int) -> None:
    # density 10^(-digits x n) after round k is 10^(-digits x k): an error in the 28th digit would move a tie.
    target = Decimal(1).scaleb(-digits * num_rounds)
    steps = exponential(target, num_rounds)
    assert [Fraction(step) for step in steps] == [Fraction(1, 10 ** (digits * k)) for k in range(1, num_rounds + 1)]
    assert kept_count(steps[0], 5 * 10 ** (digits - 1)) == 0  # exactly a half, and 0 is even


def test_literal_schedules() -> None:
    assert [str(step.normalize()) for step in exponential(Decimal("0.0001"), 4)] == ["0.1", "0.01", "0.001", "0.0001"]
    assert [str(step.normalize()) for step in linear(Decimal("0.2"), 4)] == ["0.8", "0.6", "0.4", "0.2"]


def test_a_spelled_out_schedule_visits_the_stops_above_its_target() -> None:
    target = Decimal("0.1")
    assert densities_by_round("0.5,0.2,0.05", target, 3) == [Decimal("0.5"), Decimal("0.2"), target]
    assert stops_above("0.5,0.1", target) == [Decimal("0.5")]


@pytest.mark.parametrize("schedule", ["cubic", "", "0.5,0.5", "0.2,0.5", "1.0,0.5", "0.5,0", "0.5,nan"])
def test_an_unsound_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="schedule"):
        densities_by_round(schedule, Decimal("0.01"), 3)


def test_a_wrong_number_of_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="in 3 rounds, not 4"):
        densities_by_round("0.5,0.2", Decimal("0.1"), 4)
    with pytest.raises(ValueError, match="at least 1"):
        densities_by_round("linear", Decimal("0.1"), 0)
