"""The planning benchmark plans, commits and finds nothing left, at a size that tests can wait for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_steps_are_measured_and_what_is_committed_is_not_planned(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.planning", "--json", "--points", "300", "--segment-rows", "70"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, check=True, timeout=200
    )
    found = json.loads(done.stdout)
    assert (found["all missing"]["to_run"], found["all done"]["to_run"]) == (300, 0)
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 2**20 for row in found.values())
