"""A cohort commits what it finished, and after a crash gives up exactly the trial that crashes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from torch import nn

from orchestrator import cohort as cohort_module
from orchestrator import output as output_module
from orchestrator.cohort import Cohort, CohortRunner, RunSettings, publish_run
from orchestrator.deadline import Deadline
from orchestrator.plan import make_plan
from orchestrator.store.compact import compact
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table, scan_trials
from orchestrator.store.rows import Provenance
from orchestrator.sweepfile import SweepFile, parse_sweep
from pruning.criteria.contract import Criterion
from pruning.masks import Masks, Scores
from pruning.scoring import score_network
from training import context as context_module
from training.fusion import grouping

OUR_ROOT = Path(__file__).parents[2]
WHERE = Provenance(run_id="r1", prunesweep_version="0", torch_version="0", git_commit=None, git_dirty=None)


class Opened:
    """A planned sweep and a way to open its only cohort, as a fresh process would."""

    def __init__(self, file: SweepFile, folder: Path, **options: Any) -> None:
        self.store = Store(folder / "results")
        self.trials = make_plan(file, self.store).to_run
        settings = RunSettings(provenance=WHERE, user_folder=str(file.folder), device="cpu", max_attempts=2, **options)
        publish_run(self.store, settings, self.trials)

    def runner(self, is_node_alive: Callable[[str], bool] = lambda node_id: True) -> CohortRunner:
        cohort = Cohort(location=self.store.location, run_id="r1", number=0, start=0, stop=len(self.trials))
        return CohortRunner(cohort, node_id="node", is_node_alive=is_node_alive)

    def statuses(self) -> list[str]:
        rows = {row["trial_id"]: row["status"] for row in scan_trials(self.store).collect().iter_rows(named=True)}
        return [rows.get(trial.trial_id, "missing") for trial in self.trials]


@pytest.fixture
def opened(small_sweep: SweepFile, tmp_path: Path) -> Opened:
    return Opened(small_sweep, tmp_path)


def finish(runner: CohortRunner) -> int:
    committed = 0
    for _ in range(100):
        progress = runner.step()
        committed += progress.completed + progress.failed
        if progress.finished:
            return committed
    raise AssertionError("the cohort never finished")


def test_a_cohort_commits_every_trial_once(opened: Opened) -> None:
    assert finish(opened.runner()) == 10
    assert opened.statuses() == ["completed"] * 10
    assert scan_table(opened.store, "trials").collect().height == 10


def test_segments_are_cut_by_count(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort_module, "FLUSH_TRIALS", 4)
    finish(opened.runner())
    sizes = [pl.read_parquet(path).height for path in Path(opened.store.location, "trials").iterdir()]
    assert sorted(sizes) == [2, 4, 4]


def test_a_restarted_cohort_skips_what_was_committed_and_commits_one_at_a_time(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_module, "FLUSH_TRIALS", 4)
    opened.runner().step()  # and then the process dies
    assert opened.statuses().count("completed") == 4
    assert finish(opened.runner()) == 6
    assert opened.statuses() == ["completed"] * 10
    assert scan_table(opened.store, "trials").collect().height == 10
    sizes = [pl.read_parquet(path).height for path in Path(opened.store.location, "trials").iterdir()]
    assert sorted(sizes) == [1] * 6 + [4]


def test_a_restarted_cohort_knows_what_it_committed_also_after_compaction(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_module, "FLUSH_TRIALS", 4)
    opened.runner().step()
    compact(opened.store, grace_seconds=0)
    assert finish(opened.runner()) == 6
    assert scan_table(opened.store, "trials").collect().height == 10


def start_marker(opened: Opened, number: int, trial_id: str) -> None:
    content = json.dumps({"trial_id": trial_id, "node_id": "node"})
    opened.store.publish_text(content, "runs", "r1", "started", f"r1-c00000-crash{number}.json")


def test_a_trial_that_crashed_its_process_too_often_is_a_failed_row(opened: Opened) -> None:
    culprit = opened.trials[3].trial_id
    start_marker(opened, 1, culprit)
    start_marker(opened, 2, culprit)
    finish(opened.runner())
    assert opened.statuses() == ["completed"] * 3 + ["failed"] + ["completed"] * 6
    row = scan_trials(opened.store).filter(pl.col("trial_id") == culprit).collect().row(0, named=True)
    assert row["error_type"] == "crashed"
    assert "died 2 times" in row["error_message"]


def test_one_crash_less_and_the_trial_is_tried_again(opened: Opened) -> None:
    start_marker(opened, 1, opened.trials[3].trial_id)
    finish(opened.runner())
    assert opened.statuses() == ["completed"] * 10


def test_starts_on_a_node_that_died_are_not_the_trials_fault(opened: Opened) -> None:
    for number in range(5):
        start_marker(opened, number, opened.trials[3].trial_id)
    finish(opened.runner(is_node_alive=lambda node_id: False))
    assert opened.statuses() == ["completed"] * 10


def test_code_edited_after_planning_is_not_recorded_under_the_old_id(tmp_path: Path) -> None:
    source = "class Mine:\n    def score(self, model, data, generator):\n        raise KeyError\n"
    (tmp_path / "edited_pruner.py").write_text(source)
    text = "name: s\ndataset: digits\nmodel: mlp\npruner: edited_pruner:Mine\nsparsity: 0.9\ntraining: {epochs: 1}\n"
    opened = Opened(parse_sweep(text, name="s.yaml", folder=tmp_path), tmp_path)
    (tmp_path / "edited_pruner.py").write_text(source.replace("KeyError", "ValueError"))
    finish(opened.runner())
    (row,) = scan_trials(opened.store).collect().iter_rows(named=True)
    assert (row["status"], row["error_type"]) == ("failed", "RuntimeError")
    assert "changed after this run was planned" in row["error_message"]


def test_what_a_trial_prints_stands_in_its_row_however_much_it_is(tmp_path: Path) -> None:
    (tmp_path / "talking_pruner.py").write_text(
        "from pruning.criteria.random import Random\n"
        "class Talks(Random):\n    def score(self, model, data, generator):\n"
        "        print('first')\n        for _ in range(50):\n            print('x' * 2**20)\n"
        "        print('last')\n        return super().score(model, data, generator)\n"
    )
    text = "name: s\ndataset: digits\nmodel: mlp\npruner: [random, talking_pruner:Talks]\nsparsity: 0.9\n"
    opened = Opened(parse_sweep(text + "training: {epochs: 1}\n", name="s.yaml", folder=tmp_path), tmp_path)
    finish(opened.runner())
    silent, talking = scan_trials(opened.store).sort("pruner").collect().iter_rows(named=True)
    assert (silent["status"], talking["status"], silent["output"]) == ("completed", "completed", None)
    assert talking["output"].startswith("... 52,")
    assert talking["output"].endswith("x\nlast\n")
    assert len(talking["output"]) < output_module.CHARACTERS_KEPT + 100


def test_a_cohort_that_takes_too_long_gives_back_what_it_has_not_begun(opened: Opened) -> None:
    cohort = Cohort(location=opened.store.location, run_id="r1", number=0, start=0, stop=10, patience_seconds=1e-6)
    runner = CohortRunner(cohort, node_id="node", is_node_alive=lambda node_id: True)
    progress = runner.step()
    assert (progress.finished, progress.given_back, progress.completed) == (True, (1, 10), 1)
    assert list(progress.seconds) == [0]
    assert progress.seconds[0] > 0
    rest = Cohort(location=opened.store.location, run_id="r1", number=1, start=1, stop=10, patience_seconds=1e9)
    assert finish(CohortRunner(rest, node_id="node", is_node_alive=lambda node_id: True)) == 9
    assert opened.statuses() == ["completed"] * 10


FUSED_SWEEP = """
name: f
dataset: digits
model: {name: convnet, widths: [6, 8]}
pruner: random
density: 0.5
seed: [0, 1, 2, 3, 4]
training: {epochs: 2}
"""


@pytest.fixture
def side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many networks as there are, whether or not that is faster here; steps as short as can be."""
    monkeypatch.setattr(grouping, "fastest_number", len)
    monkeypatch.setattr(cohort_module, "FLUSH_TRIALS", 1)


def fused(folder: Path, **options: Any) -> Opened:
    return Opened(parse_sweep(FUSED_SWEEP, name="f.yaml", folder=folder), folder, engine="fused", **options)


@pytest.mark.usefixtures("side_by_side")
def test_of_trials_trained_side_by_side_each_takes_its_share(tmp_path: Path) -> None:
    opened = fused(tmp_path)
    runner, seconds = opened.runner(), dict[int, float]()
    seconds |= runner.step().seconds
    rows = {row["trial_id"]: row for row in scan_trials(opened.store).collect().iter_rows(named=True)}
    for number, trial in enumerate(opened.trials):
        assert seconds[number] > rows[trial.trial_id]["train_seconds"] > 0


@pytest.mark.usefixtures("side_by_side")
def test_what_is_trained_when_the_time_is_up_is_committed_and_nothing_else_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = fused(tmp_path, deadline=Deadline(began=0.0, end=time.time() + 3600))
    runner = opened.runner()
    runner.context.looks_ahead = 3
    is_in_time = iter([True])  # while the first three train, time runs out
    monkeypatch.setattr(Deadline, "has_time", lambda *_: next(is_in_time, False))
    assert finish(runner) == 3
    assert opened.statuses() == ["completed"] * 3 + ["missing"] * 2


@pytest.mark.usefixtures("side_by_side")
def test_what_is_trained_is_committed_in_one_step(tmp_path: Path) -> None:
    opened = fused(tmp_path)
    runner = opened.runner()
    runner.context.looks_ahead = 3
    assert runner.step().completed == 3  # after a step the run may be stopped
    assert opened.statuses() == ["completed"] * 3 + ["missing"] * 2


@pytest.mark.usefixtures("side_by_side")
def test_no_trial_is_blamed_for_the_time_that_others_took_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    @contextmanager
    def noted(seconds: float | None, give_up: Callable[[str], None]) -> Iterator[None]:
        limits.append(seconds)
        if seconds and len(limits) == 1:
            give_up("where it was")  # and ends the process
            raise SystemExit
        yield

    monkeypatch.setattr(cohort_module, "time_limit", noted)
    opened = fused(tmp_path, time_limit_seconds=7.0)
    runner = opened.runner()
    with pytest.raises(SystemExit):
        runner.step()
    limits.append(0.0)
    finish(opened.runner())  # each by itself
    assert limits == [35.0, 0.0, *[7.0] * 5]
    assert opened.statuses() == ["completed"] * 5


@pytest.mark.usefixtures("side_by_side")
def test_a_time_limit_counts_as_often_as_trials_are_trained_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    @contextmanager
    def noted(seconds: float | None, give_up: Callable[[str], None]) -> Iterator[None]:
        limits.append(seconds)
        yield

    monkeypatch.setattr(cohort_module, "time_limit", noted)
    runner = fused(tmp_path, time_limit_seconds=7.0).runner()
    runner.context.looks_ahead = 3
    finish(runner)
    assert limits[:5] == [21.0, 7.0, 7.0, 14.0, 7.0]


def test_the_next_cohort_of_a_process_goes_on_with_the_scores_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[str] = []

    def counted(model: nn.Module, masks: Masks, criterion: Criterion, *rest: Any, **options: Any) -> Scores:
        scored.append(type(criterion).__name__)
        return score_network(model, masks, criterion, *rest, **options)

    monkeypatch.setattr(context_module, "score_network", counted)
    text = "name: n\ndataset: digits\nmodel: mlp\npruner: snip\ndensity: [0.5, 0.2, 0.1]\ntraining: {epochs: 1}\n"
    ways = {}
    for way in ("one process", "a process each"):
        opened = Opened(parse_sweep(text, name="n.yaml", folder=tmp_path), tmp_path / way)
        context = None
        for row in range(3):
            cohort = Cohort(location=opened.store.location, run_id="r1", number=row, start=row, stop=row + 1)
            runner = CohortRunner(cohort, node_id="n", is_node_alive=lambda node_id: True, context=context)
            assert finish(runner) == 1
            context = runner.context if way == "one process" else None
        ways[way] = scan_trials(opened.store).sort("density").collect()["trial_id", "final_test_loss", "kept_weights"]
        scored.append("-")
    assert scored == ["Snip", "-", "Snip", "Snip", "Snip", "-"]
    assert ways["one process"].equals(ways["a process each"])


def test_settings_read_back_equal() -> None:
    settings = RunSettings(provenance=WHERE, user_folder="/a b", device="cpu", max_attempts=7)
    assert RunSettings.from_json(settings.to_json()) == settings
    assert replace(settings, max_attempts=8) != settings


LONG_SWEEP = """
name: long
dataset: digits
model: {name: convnet, widths: [8, 8]}
pruner: {name: imp, schedule: [0.5], rewind_step: 20}
density: 0.2
training: {epochs: 8, lr: 0.05}
"""

RUN_THE_COHORT = """
import sys
from orchestrator.cohort import Cohort, CohortRunner
cohort = Cohort(location=sys.argv[1], run_id="r1", number=0, start=0, stop=1)
runner = CohortRunner(cohort, node_id="node", is_node_alive=lambda node_id: True)
while not runner.step().finished:
    pass
"""


def test_a_long_trial_killed_again_and_again_ends_as_if_undisturbed(tmp_path: Path) -> None:
    """Real processes and SIGKILL: each goes on from the checkpoint of the one before, to the same bits."""
    file = parse_sweep(LONG_SWEEP, name="long.yaml", folder=tmp_path)

    def opened(folder: str, checkpoint_seconds: float) -> Store:
        store = Store(tmp_path / folder)
        settings = RunSettings(
            provenance=WHERE,
            user_folder=str(tmp_path),
            device="cpu",
            max_attempts=100,
            checkpoint_seconds=checkpoint_seconds,
        )
        publish_run(store, settings, make_plan(file, store).to_run)
        return store

    def start(store: Store) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", RUN_THE_COHORT, store.location], cwd=OUR_ROOT)

    undisturbed, killed = opened("undisturbed", 300.0), opened("killed", 0.1)
    assert start(undisturbed).wait() == 0
    assert not undisturbed.exists("checkpoints")
    checkpoints: set[str] = set()
    for _ in range(3):
        process = start(killed)
        while process.poll() is None:
            (key,) = killed.folders("checkpoints") or [""]
            found = {name for name in killed.files("checkpoints", key) if key}
            if found - checkpoints:
                checkpoints |= found
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.02)
    assert len(checkpoints) >= 3
    assert start(killed).wait() == 0
    assert killed.folders("checkpoints") == []
    for table in ("epochs", "layers", "rounds"):
        rows = [scan_table(store, table).collect().drop("attempt_id") for store in (undisturbed, killed)]
        assert rows[0].equals(rows[1])
        assert rows[0].height > 0
    row = scan_trials(killed).collect().row(0, named=True)
    assert (row["status"], row["levels"], row["rewind"], row["rewind_step"]) == ("completed", 2, "weights", 20)
