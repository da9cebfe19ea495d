"""The scheduling benchmark runs real runs: its trials are committed, counted and timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.filterwarnings("default")  # Ray's subprocess and socket warnings at exit are not ours


def test_no_op_and_one_second_trials_are_measured_through_a_real_run() -> None:
    command = [sys.executable, "-m", "benchmarks.scheduling", "--json"]
    command += ["--trials", "200", "--plain", "0", "--seconds-trials", "10"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, check=True, timeout=280
    )
    found = json.loads(done.stdout)
    no_op, one_second = found["no-op"], found["one second"]
    assert no_op["trials a second"] * no_op["seconds from scheduling to commit"] == pytest.approx(200)
    assert 0 < no_op["of them until processes are up"] < no_op["seconds from scheduling to commit"]
    assert no_op["files after compaction"] <= no_op["files"]
    assert one_second["slot seconds"] > 10
    assert 0 < one_second["overhead once processes are up"] < one_second["overhead, share of slot time"] < 1
