"""Drivers and workers that are killed: nothing is lost, nothing is kept twice, the same command goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import polars as pl

from orchestrator.store.layout import Store
from tests.faults.conftest import SHORT_SWEEP, SWEEP, Disturbed, wait_until

NUM_KILLS = 20
SECONDS_OF_ORPHANS = 3
"""Workers whose driver was killed commit what they have in hand, and end."""


def processes_below(pid: int) -> dict[int, str]:
    """Children of a process, theirs and so on, by what they call themselves."""
    found: dict[int, str] = {}
    parents = {pid}
    table = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    while new := {int(row[0]): row[2] for row in rows if int(row[1]) in parents and int(row[0]) not in found}:
        found |= new
        parents |= set(new)
    return found


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Processes in which trials run."""
    names = processes_below(process.pid).items()
    return [pid for pid, name in names if name.startswith("ray::") and "Trainable" in name]


def has_begun(store: Store, runs_before: list[str]) -> bool:
    """Whether a cohort of a new run is at work."""
    return any(store.files("runs", run, "started") for run in set(store.folders("runs")) - set(runs_before))


def test_a_driver_killed_twenty_times(disturbed: Disturbed, undisturbed: pl.DataFrame) -> None:
    """At random moments: while it plans or starts Ray, as a cohort begins, once there are results."""
    chance, store = random.Random(20), disturbed.store
    for number in range(NUM_KILLS):
        runs, num_committed = store.folders("runs"), disturbed.num_committed
        process = disturbed.start()
        if number % 6 == 2:
            wait_until(partial(has_begun, store, runs))
        elif number % 6 == 5:
            disturbed.wait_for(num_committed + 1, process)
        time.sleep(chance.uniform(0.3, 3) if number % 3 != 2 else chance.uniform(0, 1))
        assert process.poll() is None, "the sweep ended before it could be killed"
        process.kill()
        process.communicate()
    time.sleep(SECONDS_OF_ORPHANS)
    assert "240 of 240 trials completed, 0 failed" in disturbed.run()
    disturbed.assert_like(undisturbed, once=False)


def test_workers_killed_again_and_again(disturbed: Disturbed, undisturbed: pl.DataFrame) -> None:
    process = disturbed.start()
    for num_committed in (5, 60, 120):
        disturbed.wait_for(num_committed, process)
        for pid in workers_of(process)[:1]:
            os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert "A worker process died" in output
    disturbed.assert_like(undisturbed)


def test_rays_own_process_killed(disturbed: Disturbed, undisturbed: pl.DataFrame) -> None:
    process = disturbed.start()
    disturbed.wait_for(5, process)
    (raylet,) = [pid for pid, name in processes_below(process.pid).items() if "/raylet/raylet " in name]
    for pid in (raylet, *workers_of(process)):  # workers left alone may finish so small a sweep before they notice
        os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 3, output
    assert "Ray is gone" in output
    assert "Next: prunesweep resume" in output
    disturbed.run("resume", "results/disturbed", "--slots", "2")
    disturbed.assert_like(undisturbed, once=False)


def test_ctrl_c_once_and_twice(disturbed: Disturbed, undisturbed: pl.DataFrame) -> None:
    for times in (1, 2):
        process = disturbed.start()
        disturbed.wait_for(disturbed.num_committed + 1, process)
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.5)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 3, output
        assert ("Next: prunesweep resume" if times == 1 else "the same command goes on from there") in output
    time.sleep(SECONDS_OF_ORPHANS)
    disturbed.run()  # which leaves failed trials alone: none may have failed
    disturbed.assert_like(undisturbed, once=False)


def test_two_runners_on_one_store(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    disturbed = Disturbed(tmp_path, SHORT_SWEEP)
    both = [disturbed.start() for _ in range(2)]
    outputs = [process.communicate(timeout=280)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    disturbed.assert_like(undisturbed, once=False)


def test_names_with_spaces_and_letters_of_any_alphabet(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    strange = Disturbed(tmp_path / "a b [c] é", SHORT_SWEEP.replace("name: disturbed", 'name: "größe & 樹 [1] %20"'))
    strange.run()
    strange.assert_like(undisturbed)
    upwards = Disturbed(tmp_path / "upwards")
    (upwards.folder / "sweep.yaml").write_text(SWEEP.replace("name: disturbed", 'name: "../elsewhere"'))
    assert "a name becomes a folder" in upwards.run("run", "sweep.yaml", check=2)
    assert not (tmp_path / "elsewhere").exists()
