"""A run that has to be over in time: what it begins, what it leaves, and where that goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cohort import Cohort, CohortRunner, RunSettings, publish_run
from orchestrator.deadline import Deadline, longest_trial_seconds, parse_duration
from orchestrator.errors import BadInput
from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.rows import Provenance
from orchestrator.sweepfile import SweepFile, parse_sweep
from tests.orchestrator.conftest import SMALL_SWEEP, CommandLine
from training import snapshots
from training.snapshots import Wish

WHERE = Provenance(run_id="r1", prunesweep_version="0", torch_version="0", git_commit=None, git_dirty=None)


@pytest.mark.parametrize(
    ("now", "longest", "has_time"),
    [
        (0.0, 0.0, True),
        (70.0, 30.0, True),
        (70.1, 30.0, False),
        (99.0, 89.9, False),
        (99.0, 90.0, True),  # it ends in no task of 100 s: it goes on from its checkpoint in the next
        (100.1, 0.0, False),
        (100.1, 90.0, False),
    ],
)
def test_what_cannot_end_in_time_is_not_begun(now: float, longest: float, has_time: bool) -> None:
    assert Deadline(began=0.0, end=100.0, longest_seconds=longest).has_time(now) is has_time


@pytest.mark.parametrize("text", ["", "90", "1:00", "01:60:00", "2 h", "-01:00:00"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="expected hours:minutes:seconds"):
        parse_duration(text)


def runner(store: Store, num_trials: int, wish: Callable[[], Wish] = lambda: Wish.NONE) -> CohortRunner:
    cohort = Cohort(location=store.location, run_id="r1", number=0, start=0, stop=num_trials)
    return CohortRunner(cohort, node_id="node", is_node_alive=lambda node_id: True, wish=wish)


def finish(running: CohortRunner) -> int:
    completed = 0
    while True:
        progress = running.step()
        completed += progress.completed
        if progress.finished:
            return completed


def test_a_cohort_stops_where_a_trial_would_not_end_in_time(
    small_sweep: SweepFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True, True, True, False])
    monkeypatch.setattr(Deadline, "has_time", lambda self, now: next(answers))
    store = Store(tmp_path / "s")
    assert longest_trial_seconds(store) == 0.0
    trials = make_plan(small_sweep, store).to_run
    deadline = Deadline(began=0.0, end=time.time() + 1000.0)
    publish_run(store, RunSettings(provenance=WHERE, user_folder="", device="cpu", deadline=deadline), trials)
    running = runner(store, len(trials))
    assert finish(running) == 3
    rows = scan_trials(store).collect()
    assert rows.height == 3
    sums = [sum(row[f"{phase}_seconds"] for phase in ("load", "build", "prune", "train")) for row in rows.to_dicts()]
    assert longest_trial_seconds(store) == pytest.approx(max(sums))
    assert running._settings.deadline
    assert running._settings.deadline.longest_seconds == pytest.approx(max(sums))


def test_a_trial_that_is_asked_to_leave_goes_on_from_its_checkpoint_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "WORTH_SAVING_SECONDS", 0.0)
    text = SMALL_SWEEP.replace("sparsity: [0, 0.9, 0.99]", "sparsity: 0.5").replace("[random, magnitude]", "random")
    file = parse_sweep(text.replace("epochs: 1", "epochs: 3"), name="s.yaml", folder=tmp_path)
    stores = [Store(tmp_path / name) for name in ("left", "undisturbed")]
    for store in stores:
        trials = make_plan(file, store).to_run
        publish_run(store, RunSettings(provenance=WHERE, user_folder="", device="cpu"), trials)
    left = runner(stores[0], 2, lambda: Wish.LEAVE).step()
    assert (left.completed, left.failed, left.finished) == (0, 0, True)
    assert len(stores[0].folders("checkpoints")) == 1
    assert scan_trials(stores[0]).collect().is_empty()
    assert [finish(runner(store, 2)) for store in stores] == [2, 2]
    rows = [
        scan_trials(store).select("trial_id", "status", "final_train_loss", "final_test_accuracy").collect()
        for store in stores
    ]
    assert rows[0].height == 2
    assert rows[0].equals(rows[1])
    assert stores[0].folders("checkpoints") == []


@pytest.mark.filterwarnings("default")  # Ray's at exit are not ours
def test_a_run_that_is_out_of_time_says_so_and_is_resumed(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    arguments = ("run", "small.yaml", "--slots", "1", "--device", "cpu")
    stopped = prunesweep(*arguments, "--within", "0:00:00", check=5)
    assert "0 of 10 trials completed, 0 failed. Out of time" in stopped.stdout
    assert "10 of 10 trials completed" in prunesweep(*arguments, "--within", "1:00:00").stdout
    assert "expected hours:minutes:seconds" in prunesweep(*arguments, "--within", "90", check=2).stderr
