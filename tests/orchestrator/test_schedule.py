"""Every trial is handed out once, long ones first, in cohorts that shrink towards the end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cohort import Cohort, Progress
from orchestrator.cost import CostModel
from orchestrator.plan import make_plan
from orchestrator.schedule import (
    COHORTS_PER_SLOT,
    FIRST_COHORT,
    LONGEST_COHORT_SECONDS,
    Schedule,
    cohorts_of,
    in_running_order,
)
from orchestrator.store.layout import Store
from orchestrator.sweepfile import parse_sweep
from orchestrator.trials import Trials
from training.config import LOOKS_AHEAD, TrialConfig

SWEEP = """
name: s
dataset: digits
model: {models}
pruner: [random, {{name: imp, pre_epochs: 1}}]
density: [0.5, 0.1, 0.01]
seed: {{count: {seeds}}}
training: {{epochs: 1}}
"""


def planned(models: str = "[mlp, convnet]", seeds: int = 50, pruners: str | None = "random") -> Trials:
    text = SWEEP.format(models=models, seeds=seeds)
    if pruners:
        text = text.replace("[random, {name: imp, pre_epochs: 1}]", pruners)
    return make_plan(parse_sweep(text, name="s.yaml", folder=Path()), Store("/nowhere")).to_run


def known(trials: Trials, seconds: Callable[[TrialConfig], float], times: int = 200) -> CostModel:
    """A model that has seen each kind of trial so often that it believes it."""
    costs = CostModel()
    kinds = {(one.config.model, one.config.pruner, one.config.density): one.config for one in trials}
    for config in kinds.values():
        for _ in range(times):
            costs.observe(config, seconds(config))
    return costs


def schedule(trials: Trials, costs: CostModel) -> Schedule:
    return Schedule(trials, costs, location="x", run_id="r")


def sums(trials: Trials, cohorts: list[Cohort], seconds: Callable[[TrialConfig], float]) -> list[float]:
    return [sum(seconds(trial.config) for trial in trials[one.start : one.stop]) for one in cohorts]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 64), st.integers(1, 40), st.floats(1e-4, 1e4), st.floats(0.01, 100))
def test_every_trial_is_handed_out_once_and_models_are_not_mixed(
    slots: int, seeds: int, seconds: float, ratio: float
) -> None:
    def of(config: TrialConfig) -> float:
        return seconds * (ratio if config.model.name == "mlp" else 1.0)

    trials = planned(seeds=seeds, pruners=None)
    costs = known(trials, of, times=1)
    ordered = in_running_order(trials, costs)
    assert sorted(one.trial_id for one in ordered) == sorted(one.trial_id for one in trials)
    cohorts = list(cohorts_of(schedule(ordered, costs), slots))
    assert [one.start for one in cohorts] == [0, *(one.stop for one in cohorts[:-1])]
    assert cohorts[-1].stop == len(trials)
    for cohort in cohorts:
        assert len({one.config.model for one in ordered[cohort.start : cohort.stop]}) == 1
    ends = {one.stop for one in cohorts}
    for place, (one, two) in enumerate(pairwise(ordered), start=1):  # imp: the densities of a seed are one course
        if one.config.pruner.name == two.config.pruner.name == "imp" and one.config.seeds == two.config.seeds:
            assert place not in ends or one.config.model != two.config.model


def test_cohorts_are_minutes_many_a_slot_and_shrink_to_seconds() -> None:
    trials = planned(models="mlp", seeds=4000)
    costs = known(trials, lambda config: 1.0)
    lengths = sums(trials, list(cohorts_of(schedule(trials, costs), 4)), lambda config: 1.0)
    assert len(lengths) >= 4 * COHORTS_PER_SLOT
    assert lengths[0] == pytest.approx(LONGEST_COHORT_SECONDS, abs=2)
    assert all(later <= earlier + 1 for earlier, later in pairwise(lengths))  # to a trial
    assert lengths[-1] <= 3
    assert sum(lengths[-8:]) < 0.01 * 12_000  # what is handed out last is little
    few = sums(trials, list(cohorts_of(schedule(trials[:320], costs), 2)), lambda config: 1.0)
    assert max(few) <= 320 / (2 * COHORTS_PER_SLOT)


def test_a_long_trial_is_a_cohort_of_its_own_and_goes_first() -> None:
    def of(config: TrialConfig) -> float:
        return 900.0 if config.model.name == "convnet" else 0.5

    trials = planned(seeds=10)
    costs = known(trials, of)
    ordered = in_running_order(trials, costs)
    assert [one.config.model.name for one in ordered] == ["convnet"] * 30 + ["mlp"] * 30
    cohorts = list(cohorts_of(schedule(ordered, costs), 2))
    assert [one.stop - one.start for one in cohorts[:30]] == [1] * 30


def test_what_shares_scores_stays_together_and_in_order() -> None:
    trials = planned(models="mlp", seeds=7)
    costs = known(trials, lambda config: float(config.density))  # an eighth of the time is two steps of two
    assert in_running_order(trials, costs) == trials


def test_a_network_nobody_measured_starts_with_a_few_trials() -> None:
    trials = planned(seeds=100)
    costs = known(trials[:1], lambda config: 0.01)
    found = schedule(trials, costs)
    sizes: dict[str, int] = {}
    while cohort := found.next_cohort(2):
        name = trials[cohort.start].config.model.name
        sizes.setdefault(name, cohort.stop - cohort.start)
    assert trials[0].config.model.name == "mlp"
    assert (sizes["mlp"] > 50, sizes["convnet"]) == (True, FIRST_COHORT)


def test_sizes_follow_what_is_measured_while_the_sweep_runs() -> None:
    trials = planned(models="mlp", seeds=2000)
    found = Schedule(trials, CostModel(), location="x", run_id="r", seconds_between_predictions=0.0)
    first = found.next_cohort(2)
    assert first is not None
    assert first.stop <= FIRST_COHORT
    found.observe(Progress(seconds=dict.fromkeys(range(first.stop), 50.0), finished=True))
    second = found.next_cohort(2)
    assert second is not None
    assert second.stop - second.start == pytest.approx(LONGEST_COHORT_SECONDS / 50, abs=1.1)


def test_what_a_cohort_gives_back_is_handed_out_again() -> None:
    trials = planned(models="mlp", seeds=20)
    found = schedule(trials, known(trials, lambda config: 1.0))
    done: list[int] = []
    while not found.is_finished:
        cohort = found.next_cohort(1)
        assert cohort is not None
        stop = min(cohort.start + 2, cohort.stop)  # each finds its trials slower than thought
        done += range(cohort.start, stop)
        back = (stop, cohort.stop) if stop < cohort.stop else None
        assert not found.is_finished
        found.observe(Progress(seconds={}, finished=True, given_back=back))
        found.cohort_ended()
    assert sorted(done) == list(range(60))


def test_what_is_left_is_known_with_an_interval() -> None:
    trials = planned(models="mlp", seeds=20)
    found = schedule(trials, known(trials, lambda config: 2.0))
    before = found.left()
    assert before.low < 120 < before.high
    assert before.seconds == pytest.approx(120, rel=0.01)
    found.observe(Progress(completed=30, seconds=dict.fromkeys(range(30), 2.0)))
    assert found.left().seconds == pytest.approx(60, rel=0.01)


def test_what_can_be_trained_side_by_side_is_handed_out_together() -> None:
    trials = planned(seeds=6)
    costs = known(trials, lambda config: 100.0)
    ordered = in_running_order(trials, costs, fuses=True)
    assert sorted(one.trial_id for one in ordered) == sorted(one.trial_id for one in trials)
    kinds = [(one.config.model.name, one.config.density) for one in ordered]
    assert [kind for kind, after in pairwise([*kinds, None]) if kind != after] == list(dict.fromkeys(kinds))
    fused = Schedule(ordered, costs, location="x", run_id="r", fuses=True)
    assert next(cohorts_of(fused, 1)).stop == LOOKS_AHEAD
    several = list(cohorts_of(Schedule(ordered, costs, location="x", run_id="r", fuses=True), 8))
    assert several[0].stop == len(trials) // 8  # every slot gets some
    assert [one.start for one in several] == [0, *(one.stop for one in several[:-1])]
    assert several[-1].stop == len(trials)


def test_what_shares_training_stays_together_where_others_are_fused() -> None:
    trials = planned(models="mlp", seeds=5, pruners=None)
    ordered = in_running_order(trials, known(trials, lambda config: 1.0), fuses=True)
    courses = [one.config.seeds for one in ordered if one.config.pruner.name == "imp"]
    assert [seeds for seeds, after in pairwise([*courses, None]) if seeds != after] == list(dict.fromkeys(courses))
