"""Trials in columns behave like the list of trials that they stand for, also after a way through a plan file."""

from __future__ import annotations

from pathlib import Path

from orchestrator import cohort as cohort_module
from orchestrator.cohort import RunSettings, publish_run, read_planned
from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance
from orchestrator.sweepfile import SweepFile
from orchestrator.trials import Trials

WHERE = Provenance(run_id="r1", prunesweep_version="0", torch_version="0", git_commit=None, git_dirty=None)


def test_a_table_of_trials_is_a_sequence(small_sweep: SweepFile, tmp_path: Path) -> None:
    trials = make_plan(small_sweep, Store(tmp_path)).to_run
    listed = list(trials)
    assert len(trials) == len(listed) == 10
    assert trials[3] == listed[3]
    assert trials[-1] == listed[-1]
    assert trials[2:9:3] == listed[2:9:3]
    assert trials == listed
    assert trials != listed[:-1]
    assert Trials.of(listed) == listed
    assert Trials.of([]) == []


def test_workers_read_their_rows_of_the_plan_and_little_else(
    small_sweep: SweepFile, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(cohort_module, "PLAN_ROWS_AT_A_TIME", 3)
    store = Store(tmp_path)
    trials = make_plan(small_sweep, store).to_run
    publish_run(store, RunSettings(provenance=WHERE, user_folder="."), trials)
    for start, stop in [(0, 10), (0, 1), (2, 4), (3, 6), (5, 10), (9, 10)]:
        assert read_planned(store, "r1", start, stop) == list(trials[start:stop])
