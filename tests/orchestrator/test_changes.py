"""A sweep that has grown runs; one that has changed its meaning is shown first, and older results are kept apart."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import polars as pl
import pytest

from analysis.query import query
from analysis.scan import scan
from orchestrator.changes import change_since_last_run
from orchestrator.kept_apart import GROUPS_SHOWN, KeptApart, kept_apart, kept_apart_lines
from orchestrator.plan import make_plan
from orchestrator.saved_sweeps import save_sweep
from orchestrator.status import read_status
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile, parse_sweep
from training.config import NUMERICS_VERSION

from .conftest import SMALL_SWEEP, CommandLine


def commit_all(file: SweepFile, store: Store, numerics_version: int = NUMERICS_VERSION) -> None:
    for trial in make_plan(file, store).to_run:
        row = {"trial_id": trial.trial_id, "attempt_id": trial.trial_id, "status": "completed", "attempt": 1}
        write_segment(store, trial.trial_id, [{"trials": [row | {"numerics_version": numerics_version}]}])


@pytest.fixture
def store(small_sweep: SweepFile, tmp_path: Path) -> Store:
    """The small sweep, run to its end."""
    store = Store(tmp_path / "results" / "small")
    save_sweep(small_sweep, store)
    commit_all(small_sweep, store)
    return store


def changed(file: SweepFile, old: str, new: str) -> SweepFile:
    assert old in file.text
    return parse_sweep(file.text.replace(old, new), name="small.yaml", folder=file.folder)


def test_nothing_changed_where_nothing_did(small_sweep: SweepFile, store: Store, tmp_path: Path) -> None:
    assert change_since_last_run(small_sweep, make_plan(small_sweep, store), store) is None
    commented = parse_sweep(f"# a comment\n{small_sweep.text}", name="small.yaml", folder=tmp_path)
    assert change_since_last_run(commented, make_plan(commented, store), store) is None
    empty = Store(tmp_path / "empty")
    assert change_since_last_run(small_sweep, make_plan(small_sweep, empty), empty) is None


def test_a_grown_grid_needs_no_consent(small_sweep: SweepFile, store: Store) -> None:
    grown = changed(small_sweep, "0.99]", "0.99, 0.999]")
    found = change_since_last_run(grown, make_plan(grown, store), store)
    assert found is not None
    assert not found.needs_consent
    assert (found.num_new, found.num_dropped) == (4, 0)
    assert found.lines() == [
        "sparsity: [0.0, 0.9, 0.99] -> [0.0, 0.9, 0.99, 0.999]",
        "4 trials are new, 0 are no longer asked for",
    ]


def test_another_meaning_is_shown_key_by_key(small_sweep: SweepFile, store: Store) -> None:
    other = changed(changed(small_sweep, "epochs: 1", "epochs: 2"), "count: 2", "count: 1")
    found = change_since_last_run(other, make_plan(other, store), store)
    assert found is not None
    assert found.needs_consent
    assert (found.num_new, found.num_dropped, found.num_dropped_completed, found.numerics) == (5, 10, 10, {})
    assert found.lines() == [
        "seed.count: 2 -> 1",
        "training.epochs: [1] -> [2]",
        "5 trials are new, 10 are no longer asked for, 10 of them completed",
    ]


def test_what_never_ran_may_change(small_sweep: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    save_sweep(small_sweep, store)
    other = changed(small_sweep, "epochs: 1", "epochs: 2")
    found = change_since_last_run(other, make_plan(other, store), store)
    assert found is not None
    assert (found.num_dropped, found.needs_consent) == (10, False)


def test_a_users_edited_code_is_no_change_of_the_sweep(tmp_path: Path) -> None:
    source = "class Mine:\n    def score(self, model, data, generator):\n        raise KeyError\n"
    (tmp_path / "mine.py").write_text(source)
    text = SMALL_SWEEP.replace("[random, magnitude]", "[random, 'mine:Mine']")
    file, store = parse_sweep(text, name="s.yaml", folder=tmp_path), Store(tmp_path / "s")
    save_sweep(file, store)
    commit_all(file, store)
    (tmp_path / "mine.py").write_text(source.replace("KeyError", "ValueError"))
    found = change_since_last_run(file, make_plan(file, store), store)
    assert found is not None
    assert (found.num_new, found.num_dropped, found.needs_consent) == (4, 0, False)


def test_results_of_an_older_numerics_version_are_kept_apart(
    small_sweep: SweepFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "s")
    monkeypatch.setattr("orchestrator.identity.NUMERICS_VERSION", NUMERICS_VERSION - 1)
    save_sweep(small_sweep, store)
    commit_all(small_sweep, store, NUMERICS_VERSION - 1)
    monkeypatch.undo()
    plan = make_plan(small_sweep, store)
    assert (plan.num_completed, len(plan.to_run)) == (0, 10)
    found = change_since_last_run(small_sweep, plan, store)
    assert found is not None
    assert found.needs_consent
    assert found.numerics == {NUMERICS_VERSION - 1: 10}
    assert found.lines()[0] == (
        f"10 results are of numerics version {NUMERICS_VERSION - 1}; this prunesweep has {NUMERICS_VERSION}"
    )
    assert kept_apart(store) == [], "the grid of their last run still asks for them"

    save_sweep(small_sweep, store)
    commit_all(small_sweep, store)
    status = read_status(store)
    assert status.total.completed == 10
    assert {one.numerics_version for one in status.kept_apart} == {NUMERICS_VERSION - 1}
    assert sum(one.num_trials for one in status.kept_apart) == 10
    assert {one.pruner for one in status.kept_apart} == set(scan_trials(store).collect()["pruner"])
    first, *groups, command = kept_apart_lines(status.kept_apart, store.location)
    assert first == "kept apart: 10 completed trials that no sweep here asks for now"
    assert len(groups) == len(status.kept_apart)
    version = f"numerics version {NUMERICS_VERSION - 1}; this prunesweep has {NUMERICS_VERSION}"
    assert all(line.endswith(version) for line in groups)
    _, _, location, sql = shlex.split(command.partition(": ")[2])
    assert query(scan(location), sql).collect()["numerics_version"].to_list() == [NUMERICS_VERSION - 1] * 10


def test_kinds_that_are_kept_apart_are_counted_where_they_are_many() -> None:
    one = KeptApart(numerics_version=NUMERICS_VERSION, dataset="digits", model="mlp", pruner="snip", num_trials=3)
    assert kept_apart_lines([], "here") == []
    assert kept_apart_lines([one], "here") == [
        "kept apart: 3 completed trials that no sweep here asks for now",
        "  3 of digits, mlp, snip",
    ]
    many = kept_apart_lines([one] * (GROUPS_SHOWN + 5), "here")
    assert (len(many), many[-1]) == (GROUPS_SHOWN + 2, "  and 5 kinds more")


def test_run_refuses_until_told_and_plan_shows(prunesweep: CommandLine, small_sweep: SweepFile, store: Store) -> None:
    (small_sweep.folder / "small.yaml").write_text(small_sweep.text.replace("epochs: 1", "epochs: 2"))
    said = prunesweep("run", "small.yaml", check=2).stderr
    assert "has changed its meaning since it was last run" in said
    assert "training.epochs: [1] -> [2]" in said
    assert "10 trials are new, 10 are no longer asked for, 10 of them completed" in said
    assert "--changed runs it" in said
    assert len(store.files("sweeps")) == 2, "nothing was written"
    shown = prunesweep("plan", "small.yaml").stdout
    assert "since the last run: training.epochs: [1] -> [2]" in shown
    assert "`run` asks for --changed" in shown
    as_json = json.loads(prunesweep("plan", "small.yaml", "--json").stdout)
    assert as_json["change"]["num_dropped_completed"] == 10
    assert as_json["kept_apart"] == []

    ran = prunesweep("run", "small.yaml", "--changed", "--slots", "2", "--device", "cpu").stdout
    assert "10 of 10 trials completed" in ran
    assert scan_trials(store).collect().height == 20
    assert "kept apart: 10 completed trials" in prunesweep("status", "results/small").stdout
    assert json.loads(prunesweep("status", "results/small", "--json").stdout)["total"]["trials"] == 10


def test_resume_runs_the_part_that_is_asked_for(prunesweep: CommandLine, tmp_path: Path) -> None:
    """Two pruners that fail until a file is there; one of their errors is retried, with and without what is missing."""
    (tmp_path / "own.py").write_text(
        "from pathlib import Path\n\n"
        "class Memory:\n    def score(self, model, *rest):\n        return scores(model, MemoryError('7 GB'))\n\n"
        "class Key:\n    def score(self, model, *rest):\n        return scores(model, KeyError('no'))\n\n"
        "def scores(model, error):\n"
        "    if not Path('mended').exists():\n        raise error\n"
        "    return {name: one.detach().abs() for name, one in model.named_parameters() if one.ndim == 2}\n"
    )
    text = SMALL_SWEEP.replace("[random, magnitude]", "['own:Memory', 'own:Key']").replace("0, 0.9, 0.99", "0.9")
    (tmp_path / "small.yaml").write_text(text)
    options = ("--slots", "1", "--device", "cpu")
    assert "0 of 4 trials completed, 4 failed" in prunesweep("run", "small.yaml", *options, check=1).stdout
    said = prunesweep("resume", "results/small", "--error", "7 TB", *options, check=1).stdout
    assert "leave all 4 failed trials out" in said
    (tmp_path / "mended").touch()
    said = prunesweep("resume", "results/small", "--error", "^MemoryError: 7", *options, check=1).stdout
    assert "2 of 4 trials completed, 2 failed" in said
    (tmp_path / "small.yaml").write_text(text.replace("[0.9]", "[0.9, 0.5]"))
    save_sweep(
        parse_sweep((tmp_path / "small.yaml").read_text(), name="s", folder=tmp_path),
        Store(tmp_path / "results" / "small"),
    )
    said = prunesweep("resume", "results/small", "--only", "failed", "--attempts", "2", *options).stdout
    assert "4 of 8 trials completed, 0 failed, 4 missing that were not asked for. Next: prunesweep resume" in said
    assert "8 of 8 trials completed" in prunesweep("resume", "results/small", *options).stdout
    rows = scan_trials(Store(tmp_path / "results" / "small")).select("status", pl.col("attempt")).collect()
    assert sorted(rows.rows()) == [("completed", 1)] * 4 + [("completed", 2)] * 4
