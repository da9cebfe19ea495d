"""Full disks, damaged files, folders that cannot be written, clocks that jump."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from tests.faults.conftest import SWEEP, Disturbed, wait_until

CLOCK = '''
"""Every clock of the calendar leaps by more than a year, forth and back, several times a minute."""
import datetime
import time

_time, _Datetime = time.time, datetime.datetime


def _leap():
    return (0, 4e7, -4e7)[int(time.monotonic() / 2) % 3]


class Leaping(_Datetime):
    @classmethod
    def now(cls, tz=None):
        return _Datetime.fromtimestamp(_time() + _leap(), tz)


time.time = lambda: _time() + _leap()
datetime.datetime = Leaping
'''


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few hundred kilobytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only an administrator can mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_while_results_are_written(
    tmp_path: Path, small_disk: Path, undisturbed: pl.DataFrame
) -> None:
    sweep = Disturbed(tmp_path / "work", SWEEP)
    sweep.store = type(sweep.store)(small_disk / "store")
    ballast = small_disk / "ballast"
    process = sweep.start("run", "sweep.yaml", "--slots", "2", "--results", str(small_disk / "store"))
    sweep.wait_for(1, process)
    with ballast.open("wb") as file, suppress(OSError):  # somebody else takes what is left
        while True:
            file.write(b"x" * 1024)
            file.flush()
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 2, output
    assert "No space left on device" in output
    assert "make room" in output
    committed = sweep.results()
    assert committed.equals(undisturbed.filter(pl.col("trial_id").is_in(committed["trial_id"].implode())))

    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    sweep.run("resume", str(small_disk / "store"), "--slots", "2")
    sweep.assert_like(undisturbed, times=None)


def test_a_folder_that_cannot_be_written(disturbed: Disturbed, undisturbed: pl.DataFrame) -> None:
    (disturbed.folder / "results").symlink_to("/proc/1/nowhere")  # not even for an administrator
    output = disturbed.run(check=2)
    assert "choose another place with --results" in output
    (disturbed.folder / "results").unlink()
    disturbed.run()
    disturbed.assert_like(undisturbed)


def test_a_clock_that_leaps(disturbed: Disturbed, undisturbed: pl.DataFrame) -> None:
    clock = disturbed.folder / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(CLOCK)
    path = os.pathsep.join([str(clock), os.environ.get("PYTHONPATH", "")])
    process = disturbed.start(PYTHONPATH=path)
    disturbed.wait_for(20, process)
    process.kill()
    process.communicate()
    wait_until(lambda: process.poll() is not None)
    disturbed.run(PYTHONPATH=path)
    disturbed.assert_like(undisturbed, times=None)
