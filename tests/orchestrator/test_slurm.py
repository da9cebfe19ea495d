"""A sweep as a Slurm job array, on a stand-in that runs the script for real: tasks end in time or go on later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.deadline import parse_duration
from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table
from orchestrator.sweepfile import read_sweep_file
from tests.orchestrator.conftest import SMALL_SWEEP, CommandLine
from tests.orchestrator.slurm_stand_in import directives, filled_in

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # Ray's subprocess and socket warnings at exit are not ours
]
STAND_IN = Path(__file__).with_name("slurm_stand_in.py")

LONG = """
name: long and short
dataset: digits
model: ["own_models:Slow", {name: mlp, widths: [20]}, {name: mlp, widths: [21]}, {name: mlp, widths: [22]}]
pruner: random
sparsity: 0.5
training: {epochs: 40}
"""
FULL = ("--engine", "reference")
"""The small network that pruning leaves does what the model's layers do, and sleeps no longer."""
RESULTS = ["trial_id", "final_train_loss", "final_test_loss", "final_test_accuracy", "kept_weights"]
STEPS = 40 * 9
"""Of a trial: 1097 images in batches of 128."""

OWN_MODELS = """
import os
import time
from pathlib import Path
from torch import nn

CALLS = Path(__file__).parents[3] / "calls"
SECONDS_A_STEP = float(os.environ.get("SECONDS_A_STEP", "0.15"))

class Slow(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x):
        if self.training and SECONDS_A_STEP:
            time.sleep(SECONDS_A_STEP)
            with CALLS.open("a") as calls:
                calls.write(f"{os.getpid()}\\n")
        return self.fc(x.flatten(1))
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm's commands on the PATH, and the folder where the stand-in keeps its books."""
    (tmp_path / "bin").mkdir()
    books = tmp_path / "books"
    books.mkdir()
    for command in ("sbatch", "squeue", "scontrol"):
        (tmp_path / "bin" / command).write_text(f'#!/bin/bash\nexec "{sys.executable}" "{STAND_IN}" {command} "$@"\n')
        (tmp_path / "bin" / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_STAND_IN", str(books))
    yield books
    (books / "stop").touch()
    wait_until_done(books, 60)


def wait_until_done(books: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (books / "state.json").exists():
        assert time.monotonic() < deadline, (books / "cluster.log").read_text()
        time.sleep(0.2)


def turns_of(books: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (books / "turns.jsonl").read_text().splitlines()]


@pytest.mark.faults
def test_tasks_cut_off_at_their_wall_time_go_on_until_every_trial_has_one_row(
    slurm: Path, prunesweep: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two shards; a trial that fits in no turn leaves a checkpoint at the warning and is trained by several.

    The first turn gets no warning and is cut off: nothing requeues that task, and the same command goes on.
    """
    calls = tmp_path / "calls"
    (tmp_path / "own_models.py").write_text(OWN_MODELS)
    (tmp_path / "long.yaml").write_text(LONG)
    submit = ("submit", "long.yaml", "--slurm", "--shards", "2", "--time", "0:01:00", "--", "--device", "cpu", *FULL)
    (slurm / "silent").touch()
    assert "4711 submitted: 2 task(s)" in prunesweep(*submit).stdout
    assert "4711 is in the queue already" in prunesweep(*submit).stdout
    refused = prunesweep(*("3" if word == "2" else word for word in submit), check=2).stderr
    assert "is in the queue in 2 task(s) as 4711: submit it with --shards 2, or end that first: scancel 4711" in refused
    (tmp_path / "own_models.py").write_text("edited while the job is in the queue")
    wait_until_done(slurm, 400)
    (tmp_path / "own_models.py").write_text(OWN_MODELS)

    turns = turns_of(slurm)
    assert (turns[0]["task"], turns[0]["cut"], turns[0]["requeued"]) == (1, True, False)
    while any(turn["cut"] for turn in turns):  # later ones where this machine is too busy to stop in 15 s
        num_turns = len(turns)
        assert "4711 submitted" in prunesweep(*submit).stdout
        wait_until_done(slurm, 400)
        turns = turns_of(slurm)[num_turns:]
    turns = turns_of(slurm)
    logs = "\n".join(path.read_text() for path in sorted(tmp_path.glob("slurm/*/logs/*.log")))
    assert {turn["task"] for turn in turns} == {1, 2}, logs
    assert any(turn["warned"] and turn["requeued"] for turn in turns), logs
    for turn in turns:
        assert turn["requeued"] or turn["cut"] or turn["code"] == 0, logs
    store = Store(tmp_path / "results" / "long and short")
    rows = scan_table(store, "trials").collect()
    assert rows["status"].to_list() == ["completed"] * 4
    assert rows["trial_id"].n_unique() == 4
    assert make_plan(read_sweep_file(tmp_path / "long.yaml"), store).to_run == []
    by_process = Counter(calls.read_text().split())
    assert len(by_process) > 1
    assert max(by_process.values()) < STEPS, "a later turn began from the start"
    monkeypatch.setenv("SECONDS_A_STEP", "0")
    prunesweep("run", "long.yaml", "--results", "undisturbed", "--device", "cpu", *FULL)
    undisturbed = scan_table(Store(tmp_path / "undisturbed"), "trials").collect()
    assert rows.select(RESULTS).sort("trial_id").equals(undisturbed.select(RESULTS).sort("trial_id"))
    assert list(slurm.glob("disk-*/*")) == []  # the scratch folder is gone, or was too long for Ray's sockets


def test_a_folder_of_any_name_is_where_the_logs_go(prunesweep: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "my sweeps 100%a"
    folder.mkdir()
    (folder / "small.yaml").write_text(SMALL_SWEEP)
    command = [sys.executable, "-m", "orchestrator", "submit", "small.yaml", "--slurm", "--dry-run", "--installed"]
    script = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    log = filled_in(directives(script)["output"], 3)
    assert (log.name, log.parent.name, log.parents[3]) == ("3.log", "logs", folder)


def test_the_script_asks_for_what_was_asked_and_bash_takes_it(
    prunesweep: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a sweep.yaml").write_text(SMALL_SWEEP.replace("name: small", "name: it's Größe"))
    shown = prunesweep(
        "submit", "a sweep.yaml", "--slurm", "--dry-run", "--shards", "7", "--time", "12:30:00", "--partition", "gpu",
        "--gpus-per-task", "2", "--cpus-per-task", "8", "--sbatch=--account=lab", "--installed", "--",
        "--gpus-per-trial", "0.5",
    ).stdout  # fmt: skip
    script = shown[shown.index("#!/bin/bash") :]
    asked = [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]
    for directive in (
        "--array=1-7", "--time=12:30:00", "--signal=B:USR1@120", "--requeue", "--partition=gpu", "--gpus-per-task=2",
        "--cpus-per-task=8", "--account=lab", "--nodes=1", "--ntasks=1",
    ):  # fmt: skip
        assert directive in asked
    assert "run 'a sweep.yaml' --results " in script
    assert "--gpus-per-trial 0.5" in script
    assert "PYTHONPATH" not in script
    subprocess.run(["bash", "-n", "-c", script], check=True)
    assert not (tmp_path / "slurm").exists()


@pytest.mark.parametrize(("given", "devices"), [({}, ""), ({"SLURM_GPUS_ON_NODE": "2"}, "3,5")])
def test_a_task_takes_the_cores_and_gpus_that_slurm_gave_it_and_a_short_folder(
    prunesweep: CommandLine, tmp_path: Path, given: dict[str, str], devices: str
) -> None:
    """The script with a stand-in for Python that says what it was given."""
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    shown = prunesweep("submit", "small.yaml", "--slurm", "--dry-run", "--installed", "--shards", "4").stdout
    script = shown[shown.index("#!/bin/bash") :]
    folder = next(line.removeprefix("folder=") for line in script.splitlines() if line.startswith("folder="))
    (Path(folder) / "submitted").mkdir(parents=True)
    says = tmp_path / "says"
    says.write_text('#!/bin/bash\necho "$@"; echo "[$CUDA_VISIBLE_DEVICES]"; echo "$TMPDIR"; touch "$RAY_TMPDIR/x"\n')
    says.chmod(0o755)
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    task = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "6", "SLURM_JOB_END_TIME": str(int(time.time()) + 3720)}
    environment = os.environ | given | task | {"CUDA_VISIBLE_DEVICES": "3,5", "SLURM_TMPDIR": str(deep)}
    done = subprocess.run(
        ["bash", "-c", script.replace(sys.executable, str(says))], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    words, shown_devices, scratch = done.stdout.splitlines()
    assert "--shard 3/4 --slots 6 --within " in words
    assert 3500 < parse_duration(words.split()[-1]) <= 3600  # the two minutes of the warning are left out
    assert shown_devices == f"[{devices}]"
    assert len(scratch) <= 32
    assert not Path(scratch).exists()
    assert list(deep.iterdir()) == []


def test_where_there_is_no_slurm_it_says_so(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    assert "squeue was not found" in prunesweep("submit", "small.yaml", "--slurm", check=2).stderr
