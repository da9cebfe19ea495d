"""A small sweep, what it gives when nothing disturbs it, and how to tell that a disturbed one gave the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table, scan_trials
from orchestrator.sweepfile import read_sweep_file
from tests.orchestrator.conftest import bucket, s3_server

__all__ = ["bucket", "s3_server"]

SWEEP = """
name: disturbed
dataset: digits
model: {name: mlp, widths: [20]}
pruner: [random, magnitude, snip]
sparsity: [0.5, 0.9]
seed: {count: 40}
training: {epochs: 8}
"""
"""Of 240 trials: some ten seconds on two cores."""
SHORT_SWEEP = SWEEP.replace("count: 40", "count: 10")
"""A quarter of its trials, for faults that need not hit a run half-way."""
RESULTS = ["trial_id", "status", "final_train_loss", "final_test_loss", "final_test_accuracy", "kept_weights"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are faults, and may take their time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(1200))


class Disturbed:
    """A folder with the sweep, in which commands are run as a user runs them."""

    started: ClassVar[list[subprocess.Popen[str]]] = []
    """By all of them."""

    def __init__(self, folder: Path, text: str = SWEEP) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        (folder / "sweep.yaml").write_text(text)
        self.store = Store(folder / "results" / read_sweep_file(folder / "sweep.yaml").sweep.name)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """The command in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *(arguments or ("run", "sweep.yaml", "--slots", "2"))],
            cwd=self.folder,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, check: int = 0, timeout: float = 280, **variables: str) -> str:
        """The command to its end; its output."""
        process = self.start(*arguments, **variables)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == check, f"exit {process.returncode}\n{output}"
        return output

    @property
    def planned(self) -> set[str]:
        """Ids of the sweep's trials."""
        plan = make_plan(read_sweep_file(self.folder / "sweep.yaml"), Store(self.folder / "nothing here"))
        return set(plan.to_run.frame["trial_id"].cast(pl.String))

    @property
    def num_committed(self) -> int:
        return int(scan_trials(self.store).select(pl.len()).collect().item())

    def wait_for(self, num_committed: int, process: subprocess.Popen[str]) -> None:
        """Until that many trials are in the store."""
        wait_until(lambda: self.num_committed >= num_committed or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]

    def results(self) -> pl.DataFrame:
        """What each trial gave, in order of trial."""
        return scan_trials(self.store).select(RESULTS).sort("trial_id").collect()

    def assert_like(self, undisturbed: pl.DataFrame, *, once: bool = True) -> None:
        """One row a planned trial, equal to the undisturbed run's; with `once`, none of them was committed twice."""
        planned = self.planned
        assert self.results().equals(undisturbed.filter(pl.col("trial_id").is_in(planned)))
        tables = {table: scan_table(self.store, table).collect() for table in ("trials", "epochs", "layers")}
        for table, rows in tables.items():
            assert set(rows["trial_id"]) == planned, table
        if once:
            assert tables["trials"].height == len(planned)


def wait_until(is_so: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    """A sweep that nothing disturbed."""
    calm = Disturbed(tmp_path_factory.mktemp("calm"))
    assert "240 of 240 trials completed, 0 failed" in calm.run()
    assert calm.store.folders("runs") == []
    return calm


@pytest.fixture(scope="session")
def undisturbed(calm: Disturbed) -> pl.DataFrame:
    """Its results."""
    results = calm.results()
    assert results.height == 240
    calm.assert_like(results)
    return results


@pytest.fixture
def finished(calm: Disturbed, tmp_path: Path) -> Disturbed:
    """A copy of it to do something to, as its workers wrote it: should files have been merged, they are not."""
    copy = Disturbed(tmp_path / "finished")
    root = Path(shutil.copytree(calm.store.location, copy.store.location))
    for path in (*root.glob("merges/*"), *root.glob("*/merged-*")):
        path.unlink()
    copy.assert_like(calm.results())
    return copy


@pytest.fixture
def disturbed(tmp_path: Path) -> Disturbed:
    return Disturbed(tmp_path)


@pytest.fixture(autouse=True)
def no_process_stays() -> Iterator[None]:
    yield
    for process in Disturbed.started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout and not process.stdout.closed:
            process.communicate()
    Disturbed.started.clear()
