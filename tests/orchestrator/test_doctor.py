"""The doctor finds what is wrong with a store, mends it without losing a result, and says what runs again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestrator.cohort import Cohort, CohortRunner, RunSettings, publish_run
from orchestrator.doctor import Diagnosis, examine
from orchestrator.plan import make_plan
from orchestrator.saved_sweeps import save_sweep
from orchestrator.store.compact import compact
from orchestrator.store.layout import Store
from orchestrator.store.merges import read_records
from orchestrator.store.read import scan_children, scan_trials
from orchestrator.store.rows import Provenance
from orchestrator.store.schema import TABLES
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile

WHERE = Provenance(run_id="r1", prunesweep_version="0", torch_version="0", git_commit=None, git_dirty=None)
MEASURED = ["trial_id", "status", "kept_weights", "final_train_loss", "final_test_accuracy"]


def run_missing(file: SweepFile, store: Store, run_id: str = "r1") -> int:
    """Run what the store lacks, four trials a segment, in this process; return how many trials that were."""
    trials = make_plan(file, store).to_run
    where = Provenance(**{**WHERE.__dict__, "run_id": run_id})
    publish_run(store, RunSettings(provenance=where, user_folder=str(file.folder), device="cpu"), trials)
    cohort = Cohort(location=store.location, run_id=run_id, number=0, start=0, stop=len(trials))
    running = CohortRunner(cohort, node_id="n", is_node_alive=lambda node_id: True)
    while not running.step().finished:
        pass
    store.remove_folder("runs", run_id)
    return len(trials)


@pytest.fixture
def store(small_sweep: SweepFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Ten trials that really ran, in three segments."""
    monkeypatch.setattr("orchestrator.cohort.FLUSH_TRIALS", 4)
    store = Store(tmp_path / "store")
    save_sweep(small_sweep, store)
    assert run_missing(small_sweep, store) == 10
    return store


def flip(store: Store, table: str, name: str) -> None:
    """Turn one bit over."""
    path = Path(store.path(table, name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def problems(found: Diagnosis) -> list[str]:
    return [f"{one.kind}: {one.what}" for one in found.findings if one.is_problem]


def ids_in(store: Store, table: str, name: str) -> set[str]:
    return set(pl.read_parquet(store.path(table, name))["trial_id"])


def test_a_healthy_store_is_healthy_also_once_compacted(store: Store) -> None:
    found = examine(store)
    assert found.findings == []
    assert (found.files_checked, found.trials_without_result) == (sum(len(store.files(table)) for table in TABLES), 0)
    compact(store)
    assert examine(store).findings == []
    compact(store, grace_seconds=0)
    found = examine(store, repair=True, alone=True)
    assert (found.findings, found.files_checked) == ([], 5)  # trials, epochs, layers, rounds and points


@pytest.mark.parametrize("table", ["trials", "epochs", "layers", "rounds"])
def test_a_flipped_bit_costs_the_trials_of_its_segment_and_nothing_else(
    store: Store, small_sweep: SweepFile, table: str
) -> None:
    before = scan_trials(store).select(MEASURED).sort("trial_id").collect()
    name = store.files(table)[1]
    lost = ids_in(store, table, name)
    flip(store, table, name)
    found = examine(store)
    assert any(f"damaged: {table}/{name}: not a whole Parquet file" in one for one in problems(found))
    assert set(found.will_run_again) == lost
    assert found.trials_without_result == len(lost)
    assert name in store.files(table), "nothing is touched unasked"

    mended = examine(store, repair=True)
    assert mended.will_run_again == found.will_run_again
    assert not mended.is_healthy
    assert store.exists("quarantine", table, name)
    healthy = examine(store)
    assert problems(healthy) == []
    assert healthy.trials_without_result == len(lost)
    assert set(scan_trials(store).collect()["trial_id"]) == set(before["trial_id"]) - lost

    assert run_missing(small_sweep, store, "r2") == len(lost)
    assert scan_trials(store).select(MEASURED).sort("trial_id").collect().equals(before)
    counts = scan_children(store, "epochs").group_by("trial_id").len().collect()
    assert counts["len"].to_list() == [1] * 10
    assert examine(store).is_healthy


@pytest.mark.parametrize("table", ["trials", "epochs", "rounds"])
def test_a_damaged_merged_file_costs_its_range_of_trials(store: Store, small_sweep: SweepFile, table: str) -> None:
    before = scan_trials(store).select(MEASURED).sort("trial_id").collect()
    compact(store, grace_seconds=0, bytes_per_file=5_000 if table != "trials" else 60_000)
    (merge,) = read_records(store, table).merges
    assert len(merge.files) > 1
    lost = ids_in(store, table, merge.files[1])
    flip(store, table, merge.files[1])
    assert not examine(store, repair=True).is_healthy
    missing = set(before["trial_id"]) - set(scan_trials(store).collect()["trial_id"])
    assert missing >= lost
    assert len(missing) < 10
    assert problems(examine(store)) == []
    run_missing(small_sweep, store, "r2")
    assert scan_trials(store).select(MEASURED).sort("trial_id").collect().equals(before)
    compact(store, grace_seconds=0)
    assert scan_trials(store).select(MEASURED).sort("trial_id").collect().equals(before)
    assert examine(store).findings == []


def test_a_damaged_merged_file_costs_nothing_while_its_segments_are_there(store: Store) -> None:
    before = scan_trials(store).sort("trial_id").collect()
    compact(store)
    (merge,) = read_records(store, "trials").merges
    flip(store, "trials", merge.files[0])
    found = examine(store, repair=True)
    assert found.will_run_again == []
    assert found.trials_without_result == 0
    assert scan_trials(store).sort("trial_id").collect().equals(before)
    compact(store, grace_seconds=0)
    assert scan_trials(store).sort("trial_id").collect().equals(before)


def test_a_damaged_record_loses_nothing(store: Store) -> None:
    before = scan_trials(store).sort("trial_id").collect()
    compact(store, grace_seconds=0)
    (record,) = [name for name in store.files("merges") if name.startswith("trials")]
    Path(store.path("merges", record)).write_text('{"files": ')
    assert problems(examine(store)) == [f"damaged: merges/{record}"]
    assert not examine(store, repair=True).is_healthy
    assert examine(store).is_healthy
    assert scan_trials(store).sort("trial_id").collect().equals(before)


def attempt(trial: str, attempt_id: str, loss: float, **more: Any) -> dict[str, list[dict[str, Any]]]:
    key = {"trial_id": trial, "attempt_id": attempt_id}
    row = {"status": "completed", "attempt": 1, "device": "cpu", "threads": 1, "final_test_loss": loss, "density": 1.0}
    return {
        "trials": [key | row | more],
        "epochs": [key | {"level": 1, "epoch": 1}],
        "layers": [key | {"position": 0}],
    }


def test_contradictions_are_reported_before_and_after_compaction(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [attempt("A", "a1", 0.5, host="one"), attempt("B", "b1", 0.5)])
    write_segment(store, "s2", [attempt("A", "a2", 0.25, host="two"), attempt("B", "b2", 0.25, device="cuda")])
    expected = (
        "trial A was completed 2 times in one execution class, differently (one, two): final_test_loss: 0.5, 0.25"
    )
    assert [one.what for one in examine(store).findings] == [expected]
    compact(store, grace_seconds=0)
    (found,) = examine(store).findings
    assert found.what.startswith(expected)
    assert "kept in quarantine/disagreeing-" in found.what
    Path(store.path("quarantine", *store.files("quarantine"))).unlink()
    assert examine(store).is_healthy


def test_what_killed_processes_left_is_deleted_once_it_is_old_or_nobody_runs(
    store: Store, small_sweep: SweepFile
) -> None:
    trials = make_plan(small_sweep, Store("/nowhere")).to_run
    store.publish_text("half", "trials", f".{'0' * 32}")
    store.publish_text("{}", "runs", "20200101T000000-aa", "run.json")
    store.publish_text("{}", "runs", "20991231T000000-bb", "run.json")
    store.publish_text("x", "checkpoints", "key", "00000001-0.safetensors")
    store.publish_text(trials[0].config.to_json(), "checkpoints", "key.json")
    write_segment(store, "r1-orphan", [{"epochs": [{"trial_id": "never", "attempt_id": "n", "epoch": 1}]}])
    found = examine(store)
    assert found.is_healthy
    assert sorted(one.what.split(":")[0] for one in found.findings) == ["checkpoints/key", "runs/20200101T000000-aa"]
    (orphan,) = [name for name in store.files("epochs") if "orphan" in name]
    long_ago = time.time() - 3 * 86400
    os.utime(store.path("epochs", orphan), (long_ago, long_ago))
    os.utime(store.path("trials", f".{'0' * 32}"), (long_ago, long_ago))
    found = examine(store, repair=True)
    assert len(found.findings) == 4
    assert all(one.done for one in found.findings)
    assert store.folders("runs") == ["20991231T000000-bb"]
    assert store.entries("checkpoints") == []
    assert store.exists("quarantine", "epochs", orphan)
    assert not store.exists("trials", f".{'0' * 32}")
    assert examine(store).findings == []
    write_segment(store, "r1-young", [{"epochs": [{"trial_id": "never", "attempt_id": "n", "epoch": 1}]}])
    assert examine(store).findings == [], "its worker may be about to commit it"
    assert len(examine(store, alone=True).findings) == 1


def test_a_lost_grid_is_written_anew_and_a_lost_sweep_file_is_said(store: Store) -> None:
    store.remove("points", "small.parquet")
    assert problems(examine(store)) == ["missing: points/small.parquet, the grid of a sweep"]
    assert examine(store, repair=True).trials_without_result == 0
    assert examine(store).is_healthy
    grid = Path(store.path("points", "small.parquet"))
    grid.write_bytes(grid.read_bytes()[:-9])
    assert not examine(store, repair=True).is_healthy
    assert examine(store).is_healthy
    (text,) = [name for name in store.files("sweeps") if name.endswith(".yaml")]
    content = store.read_text("sweeps", text)
    Path(store.path("sweeps", text)).write_text(content + "# edited\n")
    assert "was changed: its name is the hash" in problems(examine(store))[0]
    store.remove("sweeps", text)
    said = problems(examine(store))
    assert "cannot be read" in said[0]
    assert "points/small.parquet; run it again" in said[1]


def test_in_a_bucket_as_in_a_folder(bucket: str, small_sweep: SweepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.cohort.FLUSH_TRIALS", 4)
    store = Store(f"{bucket}/s")
    save_sweep(small_sweep, store)
    run_missing(small_sweep, store)
    name = store.files("layers")[0]
    content = store.read_bytes("layers", name)
    store.publish_bytes(content[:-40], "layers", name)
    found = examine(store, repair=True)
    assert len(found.will_run_again) in (2, 4)
    assert store.read_bytes("quarantine", "layers", name) == content[:-40]
    assert run_missing(small_sweep, store, "r2") == len(found.will_run_again)
    assert examine(store).is_healthy
    assert json.dumps(found.to_json())
