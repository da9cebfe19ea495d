"""What a store keeps of a sweep is what a resume needs: its file, and how its trials were run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator import run as run_module
from orchestrator.cli import run_command
from orchestrator.exit_codes import Exit
from orchestrator.plan import make_plan
from orchestrator.run import REMEMBERED, RunOptions
from orchestrator.saved_sweeps import load_saved_sweep, save_sweep
from orchestrator.shard import Shard
from orchestrator.store.layout import Store
from orchestrator.sweepfile import SweepFile

TOLD = RunOptions(
    address="auto",
    slots=7,
    device="cpu",
    engine="reference",
    gpus_per_trial=0.25,
    cpus_per_trial=2.0,
    max_attempts=5,
    time_limit_seconds=60.0,
    checkpoint_seconds=10.0,
    data_root="/somewhere/else",
    shard=Shard(1, 2),
    within_seconds=3600.0,
)


@pytest.fixture
def store(small_sweep: SweepFile, tmp_path: Path) -> Store:
    store = Store(tmp_path / "s")
    save_sweep(small_sweep, store, TOLD.to_remember())
    return store


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """The options of each run that a command would begin."""
    seen: list[RunOptions] = []

    def run_sweep(file: SweepFile, store: Store, options: RunOptions, console: Any) -> Any:
        seen.append(options)
        return Exit.DONE, make_plan(file, store)

    monkeypatch.setattr(run_module, "run_sweep", run_sweep)
    return seen


def test_how_trials_are_run_is_kept_and_where_and_which_is_not(store: Store) -> None:
    saved = load_saved_sweep(store)
    assert set(saved.options) == set(REMEMBERED)
    assert RunOptions().to_remember() == {}


def test_a_resume_runs_trials_as_the_last_run_did(store: Store, resumed: list[RunOptions]) -> None:
    assert run_command(["resume", store.location, "--slots", "1"]) == 0
    (options,) = resumed
    assert options.to_remember() == TOLD.to_remember()
    assert (options.address, options.slots, options.shard, options.within_seconds) == ("local", 1, None, None)


def test_what_is_typed_goes_before_what_is_remembered_even_if_it_is_the_default(
    store: Store, resumed: list[RunOptions], tmp_path: Path
) -> None:
    typed = ["--engine", "compact", "--device", "auto", "--max-attempts", "3", "--time-limit", "5"]
    assert (
        run_command(["resume", store.location, *typed, "--data-root", str(tmp_path), "--checkpoint-every", "300"]) == 0
    )
    (options,) = resumed
    assert (options.engine, options.device, options.max_attempts) == ("compact", "auto", 3)
    assert (options.time_limit_seconds, options.checkpoint_seconds) == (5.0, 300.0)
    assert options.data_root == str(tmp_path)
    assert (options.gpus_per_trial, options.cpus_per_trial) == (0.25, 2.0)


def test_a_store_of_before_options_were_kept_is_resumed_with_the_defaults(
    store: Store, resumed: list[RunOptions]
) -> None:
    (name,) = (one for one in store.files("sweeps") if one.endswith(".json"))
    origin = json.loads(store.read_text("sweeps", name))
    del origin["options"]
    store.publish_text(json.dumps(origin), "sweeps", name)
    assert run_command(["resume", store.location]) == 0
    assert resumed[0].to_remember() == {}
