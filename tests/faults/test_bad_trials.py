"""Trials that raise, hang, eat memory, leave or never stop talking: each is a row, and the others do not notice."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from orchestrator.store.read import scan_trials
from tests.faults.conftest import RESULTS, SWEEP, Disturbed

OWN_PRUNERS = '''
import os
import resource
import time
from pruning.criteria.random import Random


class Raises:
    def score(self, model, data, generator):
        raise RuntimeError("not today")


class Hangs:
    def score(self, model, data, generator):
        while True:
            time.sleep(0.01)


class Eats:
    """Under a limit of the system, as a container sets it; without one the kernel kills, which is Leaves."""

    def score(self, model, data, generator):
        before = resource.getrlimit(resource.RLIMIT_AS)
        in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**29, before[1]))
        try:
            eaten = [bytearray(2**24) for _ in range(1000)]
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)


class Leaves:
    def score(self, model, data, generator):
        os._exit(9)


class Talks(Random):
    def score(self, model, data, generator):
        for _ in range(500):
            print("x" * 2**20, flush=True)
        return super().score(model, data, generator)
'''
KINDS = {"Raises": "RuntimeError", "Hangs": "time limit", "Eats": "MemoryError", "Leaves": "crashed", "Talks": None}


def test_each_is_a_row_and_the_others_are_as_ever(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    bad = ", ".join(f'"own_pruners:{name}"' for name in KINDS)
    text = re.sub(r"pruner: \[.*\]", f"pruner: [magnitude, {bad}]", SWEEP)
    text = text.replace("sparsity: [0.5, 0.9]", "sparsity: 0.9").replace("count: 40", "count: 2")
    sweep = Disturbed(tmp_path, text)
    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)
    options = ("--slots", "2", "--time-limit", "20", "--max-attempts", "2")

    output = sweep.run("run", "sweep.yaml", *options, check=1)
    assert "4 of 12 trials completed, 8 failed" in output
    assert "Next: prunesweep status" in output
    rows = scan_trials(sweep.store).with_columns(name=pl.col("pruner").str.split(":").list.last()).collect()
    for name, kind in KINDS.items():
        assert rows.filter(name=name)["error_type"].to_list() == [kind] * 2, name
    hung = rows.filter(name="Hangs")
    assert "longer than 20 s" in hung["error_message"][0]
    assert "time.sleep(0.01)" in hung["error_traceback"][0], "it says where it was"

    magnitude = rows.filter(pruner="magnitude").select(RESULTS).sort("trial_id")
    assert magnitude.equals(undisturbed.filter(pl.col("trial_id").is_in(magnitude["trial_id"].implode())))

    status = sweep.run("status", f"results/{sweep.store.location.rpartition('/')[2]}")
    assert "2 x RuntimeError: not today" in status
