"""Trials that share training run side by side, in one cohort where they share levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator import schedule as schedule_module
from orchestrator.cost import CostModel
from orchestrator.plan import make_plan
from orchestrator.schedule import Schedule, cohorts_of
from orchestrator.sharing import in_sharing_order, shared_training, sharing_starts
from orchestrator.store.layout import Store
from orchestrator.sweepfile import parse_sweep
from orchestrator.trials import Trials
from training.config import Seeds, TrialConfig
from training.context import CohortContext
from training.loop import Training
from training.record import EpochRecord
from training.trial import run_cohort

SWEEP = """
name: shared
dataset: {{name: synthetic, shape: [1, 4, 4], num_train: 128, num_test: 16}}
model: {{name: mlp, widths: [8]}}
pruner: {pruners}
density: {densities}
seed: {{count: {seeds}}}
training: {{epochs: {epochs}, lr: [0.1, 0.2]}}
"""

IMP = "[{name: imp, ablation: [none, reinitialise]}, random]"


def planned(
    tmp_path: Path, *, pruners: str = IMP, densities: str = "[0.64, 0.8, 0.512]", seeds: int = 2, epochs: int = 3
) -> Trials:
    text = SWEEP.format(pruners=pruners, densities=densities, seeds=seeds, epochs=epochs)
    return make_plan(parse_sweep(text, name="s.yaml", folder=tmp_path), Store(tmp_path / "empty")).to_run


def cut(trials: Trials, *, slots: int = 1, trials_each: float = 500) -> list[list[TrialConfig]]:
    """Cohorts of `trials_each` trials at most, all of which take as long, as many as a slot's share."""
    costs = CostModel()
    seconds = schedule_module.LONGEST_COHORT_SECONDS / trials_each
    for config in dict.fromkeys(replace(trial.config, seeds=Seeds(init=0, data=0, prune=0)) for trial in trials):
        for _ in range(50):
            costs.observe(config, seconds)
    cohorts = list(cohorts_of(Schedule(trials, costs, location="x", run_id="r"), slots))
    assert [cohort.number for cohort in cohorts] == list(range(len(cohorts)))
    assert [cohort.start for cohort in cohorts] == [0, *(cohort.stop for cohort in cohorts[:-1])]
    assert cohorts[-1].stop == len(trials)
    return [[trial.config for trial in trials[cohort.start : cohort.stop]] for cohort in cohorts]


def test_a_ticket_and_its_ablation_stand_side_by_side_also_across_recipes(tmp_path: Path) -> None:
    trials = planned(tmp_path)
    ordered = in_sharing_order(trials)
    assert sorted(trial.trial_id for trial in ordered) == sorted(trial.trial_id for trial in trials)
    # 2 seeds x 2 learning rates: 3 densities x 2 ablations each; then what is pruned at initialisation, one by one
    begins_dense, begins_levels = sharing_starts(ordered)
    sizes = np.diff(np.append(np.flatnonzero(begins_dense), len(ordered)))
    assert sorted(sizes) == [1] * 12 + [6] * 4
    assert (begins_levels == begins_dense).all()
    first = [trial.config for trial in ordered[:6]]
    assert {(one.seeds.init, one.training.lr, one.pruner.name) for one in first} == {(0, 0.1, "imp")}
    assert [str(one.density) for one in first] == ["0.64", "0.8", "0.512"] * 2  # as the file has them


def test_trials_pruned_at_initialisation_keep_their_order(tmp_path: Path) -> None:
    trials = planned(tmp_path, pruners="[random, snip, {name: synflow, iterations: 2}]")
    assert in_sharing_order(trials) == trials


@pytest.mark.parametrize("slots", [1, 4, 100])
def test_no_cohort_cuts_a_course_of_levels(tmp_path: Path, slots: int) -> None:
    trials = in_sharing_order(planned(tmp_path))
    tickets = [
        {(one.seeds.init, one.training.lr) for one in cohort if one.pruner.name == "imp"}
        for cohort in cut(trials, slots=slots)
    ]
    assert sum(len(keys) for keys in tickets) == 4  # each pair is in one cohort


def test_dense_training_alone_holds_trials_together_only_where_they_fit(tmp_path: Path) -> None:
    pruners = "[{name: [magnitude, random, snip], pre_epochs: 1}]"
    trials = in_sharing_order(planned(tmp_path, pruners=pruners, seeds=40))  # 80 dense trainings, 9 trials each

    def trained(cohort: list[TrialConfig]) -> set[object]:
        return {(one.seeds.init, one.training.lr) for one in cohort}

    together = cut(trials, trials_each=30)
    assert len(together[0]) == 27  # three whole trainings, though there is room for 30
    assert sum(len(trained(cohort)) for cohort in together[:20]) == 60  # none of them twice
    apart = cut(trials, trials_each=4.5)
    assert len(apart[0]) == 4
    assert sum(len(trained(cohort)) for cohort in apart) > 80


def test_what_sharing_saves_is_counted_in_epochs(tmp_path: Path) -> None:
    """A course of 4 levels of 3 epochs, and 3 more for each of 3 reinitialised masks: by seed and learning rate."""
    found = shared_training(planned(tmp_path))
    assert (found.trials, found.epochs) == (24, 4 * (4 * 3 + 3 * 3))
    assert found.epochs_alone == 4 * 2 * 3 * (3 + 2 + 4)
    after = shared_training(
        planned(tmp_path, pruners="{name: [snip, magnitude], pre_epochs: 2}", densities="0.5", epochs=5)
    )
    assert (after.trials, after.epochs, after.epochs_alone) == (8, 4 * (2 + 2 * 3), 8 * 5)
    assert shared_training(planned(tmp_path, pruners="random")).trials == 0


def test_a_cohort_trains_what_was_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an epoch more: epochs are counted where they are trained."""
    trials = [trial for trial in in_sharing_order(planned(tmp_path, seeds=1)) if trial.config.levels.pre_epochs]
    trained = []
    step_through = Training.run

    def counted(self: Training, *arguments: Any) -> Iterator[EpochRecord]:
        for record in step_through(self, *arguments):
            trained.append(record)
            yield record

    monkeypatch.setattr(Training, "run", counted)
    records = list(run_cohort((trial.config for trial in trials), CohortContext("cpu")))
    assert [record.error for record in records] == [None] * 12
    assert len(trained) == shared_training(trials).epochs
