"""A run that has to be over in time: what it begins, what it leaves, and where that goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cohort import Cohort, CohortRunner, RunSettings, publish_run
from orchestrator.cost import CostModel, Estimate
from orchestrator.deadline import Deadline, longest_trial_seconds, parse_duration
from orchestrator.errors import BadInput
from orchestrator.plan import make_plan
from orchestrator.schedule import Schedule, cohorts_of
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
    deadline = Deadline(began=0.0, end=100.0, longest_seconds=longest)
    assert deadline.has_time(now, deadline.needed_seconds(None)) is has_time


@pytest.mark.parametrize(
    ("expected", "at_most", "is_first", "needed"),
    [
        (20.0, 40.0, False, 40.0),  # what is measured goes before the longest, with its margin
        (40.0, 200.0, False, 90.0),  # or no task of 100 s would ever begin it
        (40.0, 80.0, True, 50.0),
        (20.0, 40.0, True, 40.0),
        (95.0, 99.0, False, 0.0),
    ],
)
def test_what_is_measured_decides_with_a_margin_and_something_is_always_begun(
    expected: float, at_most: float, is_first: bool, needed: float
) -> None:
    deadline = Deadline(began=0.0, end=100.0, longest_seconds=70.0)
    found = Estimate(seconds=expected, low=0.0, high=at_most)
    assert deadline.needed_seconds(found, is_first=is_first) == needed


def test_what_would_not_end_in_time_is_passed_over_and_shorter_trials_come_first(tmp_path: Path) -> None:
    """Two networks of 60 and 5 s a trial, 30 s left of 200: only the second's are handed out, unmeasured ones not."""
    text = (
        "name: s\ndataset: digits\nmodel: [mlp, convnet, lenet_300_100]\npruner: random\nsparsity: [0.5, 0.9]\n"
        "seed: {count: 5}\ntraining: {epochs: 1}\n"
    )
    trials = make_plan(parse_sweep(text, name="s.yaml", folder=tmp_path), Store(tmp_path / "s")).to_run
    costs = CostModel()
    seconds = {"mlp": 5.0, "convnet": 60.0}
    for trial in trials:
        for _ in range(100 * (trial.config.model.name in seconds)):
            costs.observe(trial.config, seconds[trial.config.model.name])
    now = time.time()
    for left, expected in [(30.0, {"mlp"}), (95.0, {"mlp", "convnet"})]:
        deadline = Deadline(began=now + left - 200.0, end=now + left, longest_seconds=150.0)
        schedule = Schedule(trials, costs, location="x", run_id="r", deadline=deadline)
        handed = [(one, trials[one.start].config.model.name) for one in cohorts_of(schedule, 1)]
        assert {name for _, name in handed} == expected, left
        assert sum(one.stop - one.start for one, _ in handed) == 10 * len(expected)
        assert all(seconds[name] < one.needed_seconds < 1.5 * seconds[name] for one, name in handed)
        assert schedule.next_cohort(1) is None


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
    monkeypatch.setattr(Deadline, "has_time", lambda self, now, needed: next(answers))
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
    assert running._needed_seconds == pytest.approx(max(sums))


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
