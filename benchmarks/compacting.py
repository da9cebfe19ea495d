"""Compacting a store as workers leave it: files, seconds and peak memory, and that readers see the same.

    python -m benchmarks.compacting [--trials 1000000] [--epochs 10] [--segment 500] [--folder DIR] [--json]

The store is `benchmarks.synthetic_store`'s, `--segment` trials a file. Compacting, and listing before and after, run in
processes of their own, whose peak memory (VmHWM, imports included) is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import polars as pl

from benchmarks.memory import peak_bytes
from benchmarks.synthetic_store import write_store
from orchestrator.store.compact import compact, num_files
from orchestrator.store.layout import Store
from orchestrator.store.merges import KEYS
from orchestrator.store.read import scan_children, scan_trials


def main() -> None:
    """Run the benchmark, or one of its steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--segment", type=int, default=500)
    parser.add_argument("--folder", help="Where the store is made; default: a temporary folder.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        began = time.perf_counter()
        found = STEPS[arguments.step](Store(arguments.folder))
        print(json.dumps(found | {"seconds": time.perf_counter() - began, "peak_bytes": peak_bytes()}))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write_store(folder, arguments.trials, num_epochs=arguments.epochs, segment=arguments.segment)
        done = {
            name: _step(step, folder)
            for name, step in [
                ("listing before", "listing"),
                ("reading before", "reading"),
                ("compacting", "compacting"),
                ("listing after", "listing"),
                ("reading after", "reading"),
            ]
        }
    same = done["reading before"]["rows"] == done["reading after"]["rows"]
    assert same, "compaction changed what readers see"
    if arguments.json:
        print(json.dumps(done, indent=1))
        return
    print(f"{arguments.trials:,} trials, {arguments.epochs} epochs each, {arguments.segment} trials a segment")
    for name, one in done.items():
        files = f"{one['files']:,} files" if "files" in one else ""
        print(f"{name:15} {one['seconds']:7.2f} s {one['peak_bytes'] / 1e9:5.2f} GB  {files}")


def _listing(store: Store) -> dict[str, object]:
    return {"files": num_files(store)}


def _reading(store: Store) -> dict[str, object]:
    """Rows of every table that count, and sums that would tell a doubled or exchanged one."""
    trials = scan_trials(store).select(pl.len(), pl.col("final_test_loss").fill_nan(0).sum().round(3)).collect()
    children = [scan_children(store, table).select(pl.len()).collect().item() for table in KEYS if table != "trials"]
    return {"rows": [*trials.row(0), *children]}


def _compacting(store: Store) -> dict[str, object]:
    done = compact(store, grace_seconds=0)
    return {"files": done.files_after}


STEPS = {"listing": _listing, "reading": _reading, "compacting": _compacting}


def _step(step: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.compacting", "--step", step, "--folder", folder]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(result.stdout))


if __name__ == "__main__":
    main()
