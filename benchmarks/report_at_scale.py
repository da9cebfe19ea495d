"""How long does a report of a million trials take, and how much memory?

    python -m benchmarks.report_at_scale [--trials 1000000] [--keep DIR]

Writes a store that is made up but true to the schema (`benchmarks/synthetic_store.py`: 10 epochs and 10 layers a trial,
files as compaction leaves them), then asks it twice, each in a process of its own as a user would: the accuracy summary
alone, and the whole report. Seconds are wall-clock and include the start of the process; memory is the process's
largest resident set.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.synthetic_store import write_store

ACCURACY = """
import sys
from analysis import accuracy
from analysis.scan import scan
accuracy.table(scan(sys.argv[1]).results).collect()
"""
REPORT = """
import sys
from orchestrator.cli import run_command
assert run_command(["report", sys.argv[1]]) == 0
"""
_PEAK = "\nimport resource\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"


def measure(script: str, store: Path) -> tuple[float, float]:
    """Seconds and largest resident set in GB of a fresh interpreter that runs a script on a store."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script + _PEAK, str(store)], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, int(done.stdout.split()[-1]) * 1024 / 1e9


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--keep", type=Path, help="write the store here, and leave it; used as it is if it exists")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = given.keep or Path(temporary) / "store"
        if not store.exists():
            start = time.perf_counter()
            write_store(store, given.trials)
            (store / "sweeps").mkdir()  # the command wants a store that was run
            print(f"store written         {time.perf_counter() - start:6.1f} s", flush=True)
        size = sum(file.stat().st_size for file in store.rglob("*.parquet"))
        print(f"store of {given.trials:,} trials: {size / 1e6:,.0f} MB", flush=True)
        for name, script in (("accuracy summary", ACCURACY), ("whole report", REPORT)):
            runs = [measure(script, store) for _ in range(given.repeats)]
            seconds, peak = min(one for one, _ in runs), max(peak for _, peak in runs)
            print(f"{name:20}  {seconds:6.1f} s  {peak:4.2f} GB", flush=True)
        print(f"report.html           {(store / 'report.html').stat().st_size / 1e6:6.1f} MB")


if __name__ == "__main__":
    main()
