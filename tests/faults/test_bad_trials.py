"""Trials that raise, hang, eat memory, leave or never stop talking: each is a row, and the others do not notice."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ray._common.utils import get_system_memory
from ray._private.utils import get_used_memory

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
        print("this may take a while")
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
        print("these are my last words")
        os._exit(9)


class EatsAll:
    """Until Ray's own watch over the node's memory kills the process."""

    def score(self, model, data, generator):
        eaten = []
        for _ in range(128):
            eaten.append(bytearray(os.urandom(2**20)) * 64)
            time.sleep(0.05)
        time.sleep(120)


class Talks(Random):
    def score(self, model, data, generator):
        for _ in range(500):
            print("x" * 2**20, flush=True)
            os.write(1, b"y" * 2**19 + b"\\n")  # as code in C does
        return super().score(model, data, generator)
'''
KINDS = {"Raises": "RuntimeError", "Hangs": "time limit", "Eats": "MemoryError", "Leaves": "crashed", "Talks": None}


def test_each_is_a_row_and_the_others_are_as_ever(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    bad = ", ".join(f'"own_pruners:{name}"' for name in KINDS)
    text = re.sub(r"pruner: \[.*\]", f"pruner: [magnitude, {bad}]", SWEEP)
    text = text.replace("sparsity: [0.5, 0.9]", "sparsity: 0.9").replace("count: 40", "count: 2")
    sweep = Disturbed(tmp_path, text)
    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)
    options = ("--slots", "2", "--time-limit", "25", "--max-attempts", "2")  # a gigabyte of talk takes a while
    place = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # sockets' paths must be short

    output = sweep.run("run", "sweep.yaml", *options, check=1, RAY_TMPDIR=str(place))
    assert sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) < 2**28, "of a gigabyte"
    shutil.rmtree(place)
    assert "4 of 12 trials completed, 8 failed" in output
    assert "Next: prunesweep status" in output
    rows = scan_trials(sweep.store).with_columns(name=pl.col("pruner").str.split(":").list.last()).collect()
    for name, kind in KINDS.items():
        assert rows.filter(name=name)["error_type"].to_list() == [kind] * 2, name
    hung = rows.filter(name="Hangs")
    assert "longer than 25 s" in hung["error_message"][0]
    assert "time.sleep(0.01)" in hung["error_traceback"][0], "it says where it was"

    magnitude = rows.filter(pruner="magnitude").select(RESULTS).sort("trial_id")
    assert magnitude.equals(undisturbed.filter(pl.col("trial_id").is_in(magnitude["trial_id"].implode())))

    assert hung["output"].to_list() == ["this may take a while\n"] * 2
    assert rows.filter(name="Leaves")["output"].to_list() == ["these are my last words\n"] * 2
    talked = rows.filter(name="Talks")["output"]
    assert all(text.endswith("x" * 1000 + "\n") and text.startswith("... 524,28") for text in talked)

    status = sweep.run("status", f"results/{sweep.store.location.rpartition('/')[2]}")
    assert "2 x RuntimeError: not today" in status


def test_among_trials_that_are_begun_together(tmp_path: Path) -> None:
    """Nobody is taken for the one that hangs or leaves."""
    text = re.sub(r"pruner: \[.*\]", 'pruner: [magnitude, "own_pruners:Hangs", "own_pruners:Leaves"]', SWEEP)
    sweep = Disturbed(tmp_path, text.replace("sparsity: [0.5, 0.9]", "sparsity: 0.9").replace("count: 40", "count: 1"))
    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)
    options = ("--engine", "fused", "--slots", "1", "--time-limit", "12", "--max-attempts", "2")
    output = sweep.run("run", "sweep.yaml", *options, check=1)
    assert "1 of 3 trials completed, 2 failed" in output
    rows = scan_trials(sweep.store).with_columns(name=pl.col("pruner").str.split(":").list.last()).collect()
    kinds = {name: rows.filter(name=name)["error_type"].to_list() for name in ("magnitude", "Hangs", "Leaves")}
    assert kinds == {"magnitude": [None], "Hangs": ["time limit"], "Leaves": ["crashed"]}
    assert rows.filter(name="magnitude")["engine"].to_list() == ["fused"]


def test_a_trial_that_eats_the_memory_of_its_node(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    """Ray watches the memory of the machine and kills a worker before the kernel would; Tune then ends the run."""
    total = get_system_memory()  # as Ray sees it: a container has less than its machine
    available = re.search(r"MemAvailable: +(\d+)", Path("/proc/meminfo").read_text())
    assert available
    used = max(get_used_memory(), total - int(available[1]) * 1024)
    margin = min(6 * 2**30, (total - used) // 2)  # for other tests beside this one
    if margin < 3 * 2**30:
        pytest.skip("less than 6 GiB of memory to eat from")
    threshold = (used + margin) / total
    text = re.sub(r"pruner: \[.*\]", 'pruner: ["own_pruners:EatsAll", magnitude]', SWEEP)
    sweep = Disturbed(tmp_path, text.replace("sparsity: [0.5, 0.9]", "sparsity: 0.9").replace("count: 40", "count: 2"))
    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)
    watch: dict[str, Any] = {"RAY_memory_usage_threshold": f"{threshold:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    output = sweep.run("run", "sweep.yaml", "--slots", "1", "--max-attempts", "2", check=1, **watch)
    assert "2 of 4 trials completed, 2 failed" in output
    rows = scan_trials(sweep.store).collect()
    eaters = rows.filter(pl.col("pruner") != "magnitude")
    assert eaters["error_type"].to_list() == ["crashed"] * 2
    assert "ran out of memory" in eaters["error_message"][0]
    magnitude = rows.filter(pruner="magnitude").select(RESULTS).sort("trial_id")
    assert magnitude.equals(undisturbed.filter(pl.col("trial_id").is_in(magnitude["trial_id"].implode())))
