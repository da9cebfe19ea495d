"""Real sweeps on a real Ray: failures are rows, kills lose nothing, and no result is made twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table, scan_trials
from orchestrator.sweepfile import read_sweep_file
from training.context import CohortContext
from training.trial import run_trial

from .conftest import CommandLine

pytestmark = pytest.mark.filterwarnings("default")  # Ray's subprocess and socket warnings at exit are not ours

SWEEP = """
name: kill me
dataset: digits
model: {name: mlp, widths: [100]}
pruner: [random, magnitude, snip, {name: synflow, iterations: 20}]
sparsity: [0, 0.9, 0.99]
seed: {count: 12}
training: {epochs: 4}
"""

FAILING = """
name: failing
dataset: digits
model: {name: mlp, widths: [20]}
pruner: [random, "own_pruners:Raises", "own_pruners:Exits"]
sparsity: 0.9
seed: {count: 2}
training: {epochs: 1}
"""

OWN_PRUNERS = """
import os

class Raises:
    def score(self, model, data, generator):
        raise RuntimeError("not today")

class Exits:
    def score(self, model, data, generator):
        os._exit(9)
"""


def completed(store: Store) -> pl.DataFrame:
    return scan_trials(store).filter(pl.col("status") == "completed").collect()


def test_failures_are_rows_and_are_retried_only_by_resume(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)
    (tmp_path / "failing.yaml").write_text(FAILING)
    store = Store(tmp_path / "results" / "failing")

    first = prunesweep("run", "failing.yaml", "--slots", "2", "--max-attempts", "1", check=1)
    assert "2 of 6 trials completed, 4 failed" in first.stdout
    rows = scan_trials(store).sort("pruner", "seed_init").collect()
    assert rows["status"].to_list() == ["failed"] * 4 + ["completed"] * 2
    assert rows["error_type"].to_list() == ["crashed"] * 2 + ["RuntimeError"] * 2 + [None] * 2
    assert rows["error_message"].to_list()[2:4] == ["not today"] * 2
    assert "own_pruners.py" in rows["error_traceback"][2]
    assert set(rows["engine"]) == {"compact"}
    assert set(rows["device"]) <= {"cpu", "cuda"}
    assert rows["torch_version"].null_count() == 0

    again = prunesweep("run", "failing.yaml", check=1)
    assert "2 of 6 trials completed, 4 failed" in again.stdout
    assert scan_table(store, "trials").collect().height == 6

    status = prunesweep("status", "results/failing")
    assert "2 x RuntimeError: not today" in status.stdout
    assert "resume" in status.stdout

    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS.replace('raise RuntimeError("not today")', "import snips"))
    plan = prunesweep("plan", "failing.yaml")
    assert "4 to run" in plan.stdout, "edited code makes the trials of both its classes new"

    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)
    prunesweep("resume", "results/failing", "--slots", "2", "--max-attempts", "1", check=1)
    rows = scan_trials(store).sort("pruner", "seed_init").collect()
    assert rows["attempt"].to_list() == [2, 2, 2, 2, 1, 1]
    assert rows["status"].to_list() == ["failed"] * 4 + ["completed"] * 2


def test_modules_where_the_user_stands_do_not_replace_ours_or_pythons(tmp_path: Path) -> None:
    for name in ("random", "training", "models/__init__", "analysis/__init__"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('the {name} of a user')\n")
    (tmp_path / "data.txt").write_text("7")
    (tmp_path / "own_pruners.py").write_text(
        "class Reads:\n    def score(self, model, data, generator):\n        raise OSError(open('data.txt').read())"
    )
    (tmp_path / "s.yaml").write_text(FAILING.replace('"own_pruners:Raises", "own_pruners:Exits"', "own_pruners:Reads"))
    # as the installed command does it: the folder where one stands is not on the import path
    call = (
        "import sys; sys.path.remove(''); from orchestrator.cli import main; sys.argv[1:] = ['run', 's.yaml']; main()"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", call],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert "2 of 4 trials completed, 2 failed" in result.stdout, result.stderr
    rows = scan_trials(Store(tmp_path / "results" / "failing")).collect()
    assert set(rows["error_message"]) == {None, "7"}, "relative paths are the user's"


def test_a_killed_sweep_goes_on_and_ends_as_an_undisturbed_one(prunesweep: CommandLine, tmp_path: Path) -> None:
    sweep = tmp_path / "kill me.yaml"
    sweep.write_text(SWEEP)
    store = Store(tmp_path / "results" / "kill me")
    command = [sys.executable, "-m", "orchestrator", "run", sweep.name, "--slots", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while completed(store).height < 10:
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()

    time.sleep(3)  # orphaned workers may commit what they had in hand
    planned = make_plan(read_sweep_file(sweep), store)
    before = completed(store)
    assert 0 < len(planned.to_run) < planned.num_trials

    finished = prunesweep("run", sweep.name, "--slots", "2")
    assert f"{planned.num_trials} of {planned.num_trials} trials completed, 0 failed" in finished.stdout
    after = completed(store)
    assert after.height == planned.num_trials == after["trial_id"].n_unique()
    attempts = scan_table(store, "trials").collect()
    assert attempts.height == planned.num_trials, "no trial that was completed at planning ran again"
    kept = ["trial_id", "attempt_id", "final_test_accuracy", "final_train_loss"]
    untouched = after.filter(pl.col("trial_id").is_in(before["trial_id"].implode()))
    assert untouched.select(kept).sort("trial_id").equals(before.select(kept).sort("trial_id"))

    again = prunesweep("run", sweep.name)
    assert "All done" in again.stdout
    assert scan_table(store, "trials").collect().height == planned.num_trials

    context = CohortContext(str(after["device"][0]))
    fresh = make_plan(read_sweep_file(sweep), Store(tmp_path / "empty")).to_run
    for trial in fresh[:: len(fresh) // 6]:  # alone and in another order, bit for bit what the sweep stored
        record = run_trial(trial.config, context)
        row = after.row(by_predicate=pl.col("trial_id") == trial.trial_id, named=True)
        assert record.final is not None
        assert (record.final.train_loss, record.final.test_loss) == (row["final_train_loss"], row["final_test_loss"])
        assert sum(layer.kept for layer in record.layers) == row["kept_weights"]


def test_ctrl_c_commits_what_is_in_flight_and_says_how_to_go_on(tmp_path: Path) -> None:
    process, store = start_long_sweep(tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group, Ray's processes included
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3, output
    assert "Stopping: trials in flight are finished and committed" in output
    assert "Interrupted. Next: prunesweep resume" in output
    assert store.folders("runs") == []


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    process, _ = start_long_sweep(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3, output
    assert output.count("Stopping:") == 1
    assert "Interrupted." in output


def start_long_sweep(folder: Path) -> tuple[subprocess.Popen[str], Store]:
    """A sweep of minutes that has committed something."""
    (folder / "long.yaml").write_text(SWEEP.replace("count: 12", "count: 200"))
    command = [sys.executable, "-m", "orchestrator", "run", "long.yaml", "--slots", "2"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    store = Store(folder / "results" / "kill me")
    deadline = time.monotonic() + 120
    while completed(store).height < 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process, store
