"""What a run shows while it goes on: counts by axis, errors, pace and what is left with its uncertainty."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator import progress as progress_module
from orchestrator.cohort import Progress
from orchestrator.cost import CostModel
from orchestrator.plan import make_plan
from orchestrator.progress import RunDisplay
from orchestrator.run_state import ERRORS_KEPT, OTHER_ERRORS, RunState
from orchestrator.schedule import Schedule
from orchestrator.store.layout import Store
from orchestrator.sweepfile import SweepFile, parse_sweep
from orchestrator.trials import Trials


@pytest.fixture
def trials(small_sweep: SweepFile, tmp_path: Path) -> Trials:
    return make_plan(small_sweep, Store(tmp_path / "empty")).to_run


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def started(trials: Trials) -> tuple[RunState, Schedule, Clock]:
    costs, clock = CostModel(), Clock()
    for trial in trials:
        for _ in range(30):
            costs.observe(trial.config, 6.0)
    schedule = Schedule(trials, costs, location="x", run_id="r")
    state = RunState(trials, schedule.left, clock)
    clock.now += 50  # Ray starts
    state.set_running(1)
    state.set_running(2)
    return state, schedule, clock


def test_counts_by_axis_pace_and_time_left(trials: Trials) -> None:
    state, schedule, clock = started(trials)  # 2 dense, then 2 pruners x 2 sparsities x 2 seeds
    rows = [row for row, trial in enumerate(trials) if trial.config.pruner.name == "random"]
    done = Progress(completed=4, seconds=dict.fromkeys(rows, 6.0))
    clock.now += 20
    schedule.observe(done)
    state.advance(done)
    found = state.to_json()
    assert found["axes"]["pruner"]["random"] == {"done": 4, "trials": 4}
    assert found["axes"]["pruner"]["magnitude"] == {"done": 0, "trials": 4}
    assert found["axes"]["density"] == {
        "1": {"done": 0, "trials": 2},
        "0.1": {"done": 2, "trials": 4},
        "0.01": {"done": 2, "trials": 4},
    }
    assert found["trials_per_second"] == pytest.approx(4 / 20)
    assert found["utilisation"] == pytest.approx(24 / 40)  # two slots
    left = found["seconds_left"]
    assert left["seconds"] == pytest.approx(6 * 6 / 2, rel=0.05)
    assert left["low"] < left["seconds"] < left["high"]


def test_errors_are_grouped_and_bounded(trials: Trials) -> None:
    state, _, _ = started(trials)
    state.advance(Progress(failed=3, errors={0: "ValueError: a", 1: "ValueError: a", 2: "KeyError: b"}))
    assert state.to_json()["errors"] == {"ValueError: a": 2, "KeyError: b": 1}
    for number in range(2 * ERRORS_KEPT):
        state.advance(Progress(failed=1, errors={3: f"RuntimeError: {number}"}))
    assert len(state.errors) == ERRORS_KEPT + 1
    assert sum(state.errors.values()) == 3 + 2 * ERRORS_KEPT
    assert state.errors[OTHER_ERRORS] == ERRORS_KEPT + 2


def test_a_terminal_sees_axes_errors_and_what_is_left(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "VIEW_SECONDS", 0.0)
    state, _, clock = started(trials)
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    with RunDisplay(state, console) as display:
        clock.now += 10
        display.advance(Progress(completed=1, failed=1, seconds={0: 5.0, 9: 5.0}, errors={9: "ValueError: no [bold]"}))
        display.worker_died()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in (
        "2/10",
        "magnitude",
        "99 %",
        "1 x ValueError: no [bold]",
        "slots 50% busy",
        " left (",
        "worker process died",
    ):
        assert expected in text


def test_long_trials_are_seen_to_go_on(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_LINE_SECONDS", 0.0)
    state, _, clock = started(trials)
    console, said = Console(file=io.StringIO()), list[dict[str, Any]]()
    with RunDisplay(state, console, print_json=said.append) as display:
        for _ in range(3):
            clock.now += 600
            display.tick()
        state.set_running(0)
        display.tick()  # nothing is at work
    assert [one.get("running_cohorts") for one in said] == [None, 2, 2, 2, 0]


def test_programs_get_objects(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_LINE_SECONDS", 0.0)
    state, _, clock = started(trials)
    console, said = Console(file=io.StringIO()), list[dict[str, Any]]()
    with RunDisplay(state, console, print_json=said.append) as display:
        clock.now += 10
        display.advance(Progress(completed=10, seconds=dict.fromkeys(range(10), 2.0)))
        display.stopping()
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
    assert [one.get("event") for one in said] == ["starting", None, "stopping", None]
    assert json.loads(json.dumps(said[-1]))["completed"] == 10
    assert said[-1]["seconds_left"]["seconds"] >= 0


def test_a_plain_line_says_it_in_one_sentence(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_LINE_SECONDS", 0.0)
    state, schedule, clock = started(trials)
    console = Console(file=io.StringIO(), width=200)
    with RunDisplay(state, console) as display:
        clock.now += 6
        done = Progress(completed=5, collapsed=1, seconds=dict.fromkeys(range(5), 2.0))
        schedule.observe(done)
        display.advance(done)
    line = console.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
    assert line.startswith("5/10 trials, 0 failed, 1 collapsed, 2 running, 0.8 trials/s, slots 83% busy, ")
    assert " left (" in line


def test_a_single_value_is_no_axis_worth_a_line() -> None:
    text = "name: s\ndataset: digits\nmodel: mlp\npruner: snip\nsparsity: [0.5, 0.9]\ntraining: {epochs: 1}\n"
    trials = make_plan(parse_sweep(text, name="s", folder=Path()), Store("/nowhere")).to_run
    state = RunState(trials, Schedule(trials, CostModel(), location="x", run_id="r").left)
    assert progress_module._least_complete("model", state.axes["model"]) == []
    assert progress_module._least_complete("density", state.axes["density"]) == [("50 %", 0, 1), ("90 %", 0, 1)]
