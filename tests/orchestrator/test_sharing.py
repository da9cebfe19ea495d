"""Trials that share training run side by side, in one cohort where they share levels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan import make_plan
from orchestrator.run import split_cohorts
from orchestrator.sharing import in_sharing_order, shared_training, sharing_groups
from orchestrator.store.layout import Store
from orchestrator.sweepfile import parse_sweep
from orchestrator.trials import Trials
from training.config import TrialConfig
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


def cohorts_of(trials: Trials, slots: int) -> list[list[TrialConfig]]:
    cohorts = split_cohorts(trials, location="x", run_id="r", slots=slots)
    assert [cohort.number for cohort in cohorts] == list(range(len(cohorts)))
    assert [cohort.start for cohort in cohorts] == [0, *(cohort.stop for cohort in cohorts[:-1])]
    assert cohorts[-1].stop == len(trials)
    return [[trial.config for trial in trials[cohort.start : cohort.stop]] for cohort in cohorts]


def test_a_ticket_and_its_ablation_stand_side_by_side_also_across_recipes(tmp_path: Path) -> None:
    trials = planned(tmp_path)
    ordered = in_sharing_order(trials)
    assert sorted(trial.trial_id for trial in ordered) == sorted(trial.trial_id for trial in trials)
    # 2 seeds x 2 learning rates: 3 densities x 2 ablations each; then what is pruned at initialisation, one by one
    groups = list(sharing_groups(ordered))
    assert sorted(groups) == [[1]] * 12 + [[6]] * 4
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
        for cohort in cohorts_of(trials, slots)
    ]
    assert sum(len(keys) for keys in tickets) == 4  # each pair is in one cohort


def test_dense_training_alone_holds_trials_together_only_where_every_slot_gets_enough(tmp_path: Path) -> None:
    pruners = "[{name: [magnitude, random, snip], pre_epochs: 1}]"
    trials = in_sharing_order(planned(tmp_path, pruners=pruners, seeds=12))  # 24 dense trainings, 9 trials each
    together = cohorts_of(trials, slots=1)  # 216 trials, at most 27 a cohort
    assert {len(cohort) for cohort in together} == {27}
    held = cohorts_of(in_sharing_order(planned(tmp_path, pruners=pruners, seeds=5)), slots=1)  # 90 trials, at most 12
    assert [{(one.seeds.init, one.training.lr) for one in cohort} for cohort in held] == [
        {(seed, lr)} for seed in range(5) for lr in (0.1, 0.2)
    ]
    many = cohorts_of(trials, slots=100)
    assert {len(cohort) for cohort in many} == {1}


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
