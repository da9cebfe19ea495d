"""A plan is the grid, folded, minus what the store holds."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from orchestrator.choice import MISSING_AND_FAILED
from orchestrator.plan import make_plan, publish_points
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile, parse_sweep


def commit(store: Store, segment: str, trial_id: str, status: str, attempt: int = 1) -> None:
    row = {"trial_id": trial_id, "attempt_id": segment, "status": status, "attempt": attempt}
    write_segment(store, segment, [{"trials": [row]}])


def test_a_fresh_store_lacks_every_trial(small_sweep: SweepFile, tmp_path: Path) -> None:
    plan = make_plan(small_sweep, Store(tmp_path))
    # 2 pruners x 3 sparsities x 2 seeds; at sparsity 0 both pruners are one dense trial a seed
    assert (plan.num_points, plan.num_trials, len(plan.to_run)) == (12, 10, 10)
    assert sum(plan.folded.values()) == 2
    assert [trial.attempt for trial in plan.to_run] == [1] * 10
    assert plan.axes["pruner"] == {"random": 6, "magnitude": 6}


def test_what_is_committed_is_not_planned_again(small_sweep: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = make_plan(small_sweep, store).to_run
    commit(store, "s1", trials[0].trial_id, "completed")
    commit(store, "s2", trials[1].trial_id, "failed")
    commit(store, "s3", trials[1].trial_id, "failed", attempt=2)
    plan = make_plan(small_sweep, store)
    assert (plan.num_completed, plan.num_failed, len(plan.to_run)) == (1, 1, 8)
    again = make_plan(small_sweep, store, choice=MISSING_AND_FAILED)
    assert (again.num_completed, again.num_failed, len(again.to_run)) == (1, 0, 9)
    assert {t.trial_id: t.attempt for t in again.to_run}[trials[1].trial_id] == 3


def test_a_grown_sweep_runs_only_what_is_new(small_sweep: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for index, trial in enumerate(make_plan(small_sweep, store).to_run):
        commit(store, f"s{index}", trial.trial_id, "completed")
    grown = parse_sweep(small_sweep.text.replace("0.99]", "0.99, 0.999]"), name="g.yaml", folder=small_sweep.folder)
    plan = make_plan(grown, store)
    assert (plan.num_completed, len(plan.to_run)) == (10, 4)
    assert {str(trial.config.density) for trial in plan.to_run} == {"0.001"}


def test_points_name_the_trial_that_answers_each_of_them(small_sweep: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish_points(small_sweep, store)
    publish_points(small_sweep, store)
    rows = scan_points(store).collect()
    assert rows.height == 12
    dense = rows.filter(pl.col("density") == 1)
    assert dense["trial_id"].n_unique() == 2
    assert sorted(dense["pruner"]) == ["magnitude", "magnitude", "random", "random"]
    assert set(rows["trial_id"]) == {trial.trial_id for trial in make_plan(small_sweep, store).to_run}
