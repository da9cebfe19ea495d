"""Full disks, damaged files, folders that cannot be written, clocks that jump."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from tests.faults.conftest import SHORT_SWEEP, SWEEP, Disturbed, wait_until
from tests.faults.test_killed_processes import has_begun
from tests.orchestrator.s3_server import Gate, S3Server

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*get)(clockid_t, struct timespec *);

static int leaping(clockid_t id, struct timespec *now, void *caller) {
    static get real;
    if (!real) real = (get)dlsym(RTLD_NEXT, "clock_gettime");
    struct timespec steady;
    Dl_info who;
    int failed = real(id, now);
    int is_rays = dladdr(caller, &who) && (strstr(who.dli_fname, "/ray/") || strstr(who.dli_fname, "libstdc++"));
    if (!failed && id == CLOCK_REALTIME && !is_rays && !access(getenv("LEAPS_WHILE"), F_OK)) {
        real(CLOCK_MONOTONIC, &steady);
        now->tv_sec += (steady.tv_sec / 3 % 3 - 1) * 40000000L;
    }
    return failed;
}
int clock_gettime(clockid_t id, struct timespec *now) { return leaping(id, now, __builtin_return_address(0)); }
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int failed = leaping(CLOCK_REALTIME, &exact, __builtin_return_address(0));
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}
time_t time(time_t *where) {
    struct timespec exact;
    leaping(CLOCK_REALTIME, &exact, __builtin_return_address(0));
    if (where) *where = exact.tv_sec;
    return exact.tv_sec;
}
"""
"""A clock of the calendar that leaps by more than a year, forth and back, every three seconds, while a file is
there and for everything but Ray's C++: after a leap of an hour in theirs, processes of Ray 2.60 stopped hearing of each
other."""


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


def fill(disk: Path) -> Path:
    """Somebody else takes what is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024))
    return ballast


def test_a_disk_that_fills_up_while_results_are_written(
    tmp_path: Path, small_disk: Path, undisturbed: pl.DataFrame
) -> None:
    sweep = Disturbed(tmp_path / "work", SWEEP)
    sweep.store = type(sweep.store)(small_disk / "store")
    process = sweep.start("run", "sweep.yaml", "--slots", "2", "--results", str(small_disk / "store"))
    sweep.wait_for(1, process)
    ballast = fill(small_disk)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 2, output
    assert "No space left on device" in output
    assert "make room" in output
    committed = sweep.results()
    assert committed.equals(undisturbed.filter(pl.col("trial_id").is_in(committed["trial_id"].implode())))

    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    sweep.run("resume", str(small_disk / "store"), "--slots", "2")
    sweep.assert_like(undisturbed, once=False)


def test_a_disk_that_is_full_when_results_are_merged(
    finished: Disturbed, small_disk: Path, undisturbed: pl.DataFrame
) -> None:
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    store = shutil.copytree(finished.store.location, small_disk / "store")
    finished.store = type(finished.store)(store)
    ballast = fill(small_disk)
    output = finished.run("compact", str(store), check=2)
    assert "No space left on device" in output
    assert "make room" in output
    finished.assert_like(undisturbed)

    ballast.unlink()
    finished.run("compact", str(store), "--grace", "0")
    assert [len(finished.store.files(table)) for table in ("trials", "epochs", "layers")] == [1, 1, 1]
    finished.assert_like(undisturbed)


def test_a_file_that_is_cut_and_one_with_a_flipped_bit(finished: Disturbed, undisturbed: pl.DataFrame) -> None:
    store, where = finished.store, "results/disturbed"
    cut = Path(store.path("trials", store.files("trials")[0]))
    os.truncate(cut, cut.stat().st_size // 2)
    flipped = Path(store.path("epochs", store.files("epochs")[-1]))
    content = bytearray(flipped.read_bytes())
    content[len(content) // 3] ^= 4
    flipped.write_bytes(content)

    for command in ("status", "resume"):
        output = finished.run(command, where, check=2)
        assert f"trials/{cut.name}" in output
        assert f"Next: prunesweep doctor {store.location} --repair" in output
    assert "trials were done and run again" in finished.run("doctor", where, "--repair", check=1)
    assert 0 < finished.num_committed < undisturbed.height
    finished.run("resume", where, "--slots", "2")
    finished.assert_like(undisturbed)
    finished.run("doctor", where)


def test_an_object_store_that_fails_for_a_while_and_then_is_slow(
    tmp_path: Path, s3_server: S3Server, bucket: str, undisturbed: pl.DataFrame
) -> None:
    gate = Gate(s3_server.port)
    disturbed = Disturbed(tmp_path, SHORT_SWEEP)
    disturbed.store = type(disturbed.store)(f"{bucket}/s")
    way = {"AWS_ENDPOINT_URL": gate.endpoint}
    process = disturbed.start("run", "sweep.yaml", "--slots", "2", "--results", disturbed.store.location, **way)
    disturbed.wait_for(1, process)
    gate.shut()
    time.sleep(5)
    gate.open()
    for _ in range(5):
        s3_server.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        s3_server.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
    output, _ = process.communicate(timeout=280)
    gate.shut()
    assert process.returncode == 0, output
    disturbed.assert_like(undisturbed)


def test_a_folder_that_cannot_be_written(tmp_path: Path, small_disk: Path, undisturbed: pl.DataFrame) -> None:
    disturbed = Disturbed(tmp_path, SHORT_SWEEP)
    (disturbed.folder / "results").symlink_to(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # not even for an administrator
    output = disturbed.run(check=2)
    assert "Read-only file system" in output
    assert "choose another place with --results" in output
    subprocess.run(["mount", "-o", "remount,rw,size=50m", str(small_disk)], check=True)
    disturbed.run()
    disturbed.assert_like(undisturbed)


def test_a_clock_that_leaps(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    disturbed = Disturbed(tmp_path, SHORT_SWEEP)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build a clock with")
    library = disturbed.folder / "clock.so"
    build = [compiler, "-shared", "-fPIC", "-o", str(library), "-x", "c", "-", "-ldl"]
    subprocess.run(build, input=CLOCK, text=True, check=True)
    switch = disturbed.folder / "leaps"
    leaping = {"LD_PRELOAD": str(library), "LEAPS_WHILE": str(switch)}
    switch.touch()
    code = "import time; a = time.time(); time.sleep(3.1); print(abs(time.time() - a) > 1e7)"
    checked = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **leaping}, capture_output=True, check=True
    )
    assert checked.stdout.strip() == b"True"

    switch.unlink()
    process = disturbed.start(**leaping)
    wait_until(lambda: has_begun(disturbed.store, []))
    switch.touch()  # before that, a Ray that was starting gave up now and then
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    disturbed.assert_like(undisturbed)
    assert "All done" in disturbed.run()  # in another year
    disturbed.assert_like(undisturbed)
