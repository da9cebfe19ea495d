"""What is left and how fast it goes, for those who see only the store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.outlook import SILENT_SECONDS, outlook
from orchestrator.plan import make_plan, publish_points
from orchestrator.store.layout import Store
from orchestrator.store.rows import config_columns
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile, parse_sweep

NOW = 1_800_000_000.0


@pytest.fixture
def file(small_sweep: SweepFile, tmp_path: Path) -> SweepFile:
    """2 dense trials, 2 pruners x 2 sparsities x 50 seeds beside 98 more dense: 300 in all."""
    return parse_sweep(small_sweep.text.replace("count: 2", "count: 60"), name="s.yaml", folder=tmp_path)


def commit(store: Store, file: SweepFile, count: int, *, seconds: float, apart: float, run_id: str = "r1") -> None:
    """The first trials of a sweep, finished `apart` seconds after each other, the last one just now."""
    rows = []
    for number, trial in enumerate(make_plan(file, store).to_run[:count]):
        finished_at = datetime.fromtimestamp(NOW - apart * (count - 1 - number), UTC)
        row = config_columns(trial.config) | {"trial_id": trial.trial_id, "attempt_id": trial.trial_id, "attempt": 1}
        row |= {
            "status": "completed",
            "device": "cpu",
            "prune_seconds": 0.25 * seconds,
            "train_seconds": 0.75 * seconds,
        }
        rows.append(row | {"run_id": run_id, "finished_at": finished_at})
    write_segment(store, run_id, [{"trials": rows}])


def test_a_run_in_progress_is_seen_with_its_pace_slots_and_end(file: SweepFile, tmp_path: Path) -> None:
    """200 of 300 trials of 8 s, one every 2 s: four slots, and 100 trials x 8 s are 200 s on these."""
    store = Store(tmp_path / "s")
    publish_points(file, store)
    commit(store, file, 200, seconds=8.0, apart=2.0)
    store.publish_text("{}", "runs", "r1", "run.json")
    found = outlook(store, NOW)
    assert (found.trials, found.runs) == (100, 1)
    assert found.trials_per_second == pytest.approx(200 / 406)
    assert found.busy_slots == pytest.approx(1600 / 406)
    assert found.slot_seconds
    assert found.slot_seconds.seconds == pytest.approx(800, rel=0.05)
    assert found.slot_seconds.low < 800 < found.slot_seconds.high
    assert found.seconds
    assert found.seconds.seconds == pytest.approx(203, rel=0.05)
    left, pace = found.lines()
    assert left.startswith("left: 100 trials, about 0.22 slot-hours (")
    assert pace.startswith("1 running: 29.6 trials a minute, 3.9 slots busy, about 0.056 hours left (")
    assert found.to_json()["slot_hours"]["expected"] == pytest.approx(found.slot_seconds.seconds / 3600)


def test_a_run_that_ended_or_fell_silent_goes_nowhere(file: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    publish_points(file, store)
    commit(store, file, 200, seconds=8.0, apart=2.0)
    over = outlook(store, NOW)
    assert (over.trials, over.runs, over.seconds) == (100, 0, None)
    assert over.slot_seconds
    assert len(over.lines()) == 1
    store.publish_text("{}", "runs", "r1", "run.json")
    assert outlook(store, NOW + SILENT_SECONDS - 1).runs == 1
    assert outlook(store, NOW + SILENT_SECONDS + 1).runs == 0


def test_long_trials_may_be_silent_for_long(file: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    publish_points(file, store)
    commit(store, file, 4, seconds=3600.0, apart=0.0)
    store.publish_text("{}", "runs", "r1", "run.json")
    found = outlook(store, NOW + 3600)
    assert found.runs == 1
    assert found.busy_slots == pytest.approx(2.0)
    assert outlook(store, NOW + 3 * 3600 + 1).runs == 0


def test_nothing_is_promised_where_nothing_was_measured_or_nothing_is_left(file: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    publish_points(file, store)
    found = outlook(store, NOW)
    assert (found.trials, found.slot_seconds, found.seconds, found.lines()) == (300, None, None, [])
    commit(store, file, 300, seconds=8.0, apart=2.0)
    assert outlook(store, NOW).lines() == []
    assert outlook(store, NOW).trials == 0
