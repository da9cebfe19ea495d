"""Processes that take too long end by themselves, whatever they are busy with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator.time_limit import EXIT_TOO_LONG

PROGRAM = """
import re, sys, time
from orchestrator import time_limit
time_limit.SECONDS_TO_SAY_SO = 0.5
with time_limit.time_limit(float(sys.argv[1]), lambda stack: print("given up at", stack, flush=True)):
    {busy}
print("went on")
time.sleep(1.5)
print("and ended")
"""
HOLDS_THE_LOCK = 're.match("(a+)+$", "a" * 60 + "b")'


def run(busy: str, seconds: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(busy=busy)
    return subprocess.run(
        [sys.executable, "-c", program, seconds], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("limit", ["30", "0.7"])
def test_what_ends_in_time_is_left_alone(limit: str) -> None:
    done = run("time.sleep(0.01)", limit)
    assert (done.returncode, done.stdout.split("\n")) == (0, ["went on", "and ended", ""]), done.stderr


def test_what_takes_too_long_says_where_it_was() -> None:
    done = run("time.sleep(60)", "0.2")
    assert done.returncode == EXIT_TOO_LONG
    assert "time.sleep(60)" in done.stdout or "line 6" in done.stdout
    assert "went on" not in done.stdout


def test_what_does_not_let_go_of_the_lock_is_ended_all_the_same() -> None:
    done = run(HOLDS_THE_LOCK, "0.2")
    assert done.returncode not in (0, EXIT_TOO_LONG)
    assert "Timeout" in done.stderr
    assert "went on" not in done.stdout
