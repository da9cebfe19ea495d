"""Full disks, damaged files, folders that cannot be written, clocks that jump."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from tests.faults.conftest import SWEEP, Disturbed

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

typedef int (*get)(clockid_t, struct timespec *);

static int leaping(clockid_t id, struct timespec *now) {
    static get real;
    if (!real) real = (get)dlsym(RTLD_NEXT, "clock_gettime");
    struct timespec steady;
    int failed = real(id, now);
    if (!failed && id == CLOCK_REALTIME) {
        real(CLOCK_MONOTONIC, &steady);
        now->tv_sec += (steady.tv_sec / 3 % 3 - 1) * 40000000L;
    }
    return failed;
}
int clock_gettime(clockid_t id, struct timespec *now) { return leaping(id, now); }
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int failed = leaping(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}
time_t time(time_t *where) {
    struct timespec exact;
    leaping(CLOCK_REALTIME, &exact);
    if (where) *where = exact.tv_sec;
    return exact.tv_sec;
}
"""
"""A clock of the calendar that leaps by more than a year, forth and back, every three seconds."""


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
    with ballast.open("wb", buffering=0) as file, suppress(OSError):  # somebody else takes what is left
        while True:
            file.write(b"x" * 1024)
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
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build a clock with")
    library = disturbed.folder / "clock.so"
    build = [compiler, "-shared", "-fPIC", "-o", str(library), "-x", "c", "-", "-ldl"]
    subprocess.run(build, input=CLOCK, text=True, check=True)
    leaping = {"LD_PRELOAD": str(library)}
    code = "import time; a = time.time(); time.sleep(3.1); print(abs(time.time() - a) > 1e7)"
    checked = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **leaping}, capture_output=True, check=True
    )
    assert checked.stdout.strip() == b"True"

    process = disturbed.start(**leaping)
    disturbed.wait_for(20, process)
    process.kill()
    process.communicate()
    disturbed.run(**leaping)
    disturbed.assert_like(undisturbed, times=None)
