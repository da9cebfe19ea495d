"""Planning at a million points: seconds and peak memory of every step between a sweep file and Ray.

    python -m benchmarks.planning [--json] [--points 1000000] [--segment-rows 50000] [--folder DIR]

Four steps, each in a process of its own, whose peak memory (VmHWM, imports included) is printed:

    grid         the points of the grid written to the store (`publish_points`)
    all missing  the plan against an empty store, and its plan file written as `run` does
    commit       not timed: a row of `trials` for each trial, all columns of its configuration, in compacted segments
    all done     the plan against the store that holds every trial

The grid is two networks x 5 pruners x 10 densities x as many seeds as make the number of points.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from benchmarks.memory import peak_bytes
from orchestrator.plan import make_plan, publish_points
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance
from orchestrator.store.schema import TRIALS
from orchestrator.sweepfile import SweepFile, parse_sweep

SWEEP = """
name: planning
dataset: digits
model: [mlp, convnet]
pruner: [random, magnitude, snip, grasp, {{name: synflow, iterations: 100}}]
compression_exponent: [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]
seed: {{count: {seeds}}}
training: {{epochs: 15}}
"""
POINTS_A_SEED = 100
STEPS = ("grid", "all missing", "commit", "all done")


def main() -> None:
    """Run every step in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--segment-rows", type=int, default=50_000, help="rows of a segment of the committed trials")
    parser.add_argument("--folder", type=Path, help="where the store is written; default: a temporary folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(_step(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "benchmarks.planning", "--points", str(arguments.points), "--folder"]
        command += [str(arguments.folder or scratch), "--segment-rows", str(arguments.segment_rows), "--step"]
        found = {}
        for step in STEPS:
            done = subprocess.run([*command, step], check=True, stdout=subprocess.PIPE, text=True)
            found[step] = json.loads(done.stdout)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{arguments.points:,} points\n{'step':<12} {'seconds':>8} {'peak GB':>8}  trials to run")
    for step, row in found.items():
        if step != "commit":
            to_run = f"{row['to_run']:,}" if "to_run" in row else ""
            print(f"{step:<12} {row['seconds']:8.1f} {row['peak_bytes'] / 1e9:8.2f}  {to_run}".rstrip())


def _step(arguments: argparse.Namespace) -> dict[str, float]:
    text = SWEEP.format(seeds=max(1, arguments.points // POINTS_A_SEED))
    file = parse_sweep(text, name="planning.yaml", folder=arguments.folder)
    store = Store(arguments.folder)
    start = time.perf_counter()
    found = {
        "grid": _grid,
        "all missing": _all_missing,
        "commit": lambda *given: _commit(*given, rows=arguments.segment_rows),
        "all done": _all_done,
    }[arguments.step](file, store)
    return found | {"seconds": time.perf_counter() - start, "peak_bytes": peak_bytes()}


def _grid(file: SweepFile, store: Store) -> dict[str, float]:
    publish_points(file, store)
    return {}


def _all_missing(file: SweepFile, store: Store) -> dict[str, float]:
    from orchestrator.cohort import RunSettings, publish_run  # torch: 0.4 GB that plans alone do without

    plan = make_plan(file, store)
    where = Provenance(run_id="r", prunesweep_version="0", torch_version="0", git_commit=None, git_dirty=None)
    publish_run(store, RunSettings(provenance=where, user_folder=str(file.folder)), plan.to_run)
    return {"to_run": len(plan.to_run)}


def _commit(file: SweepFile, store: Store, *, rows: int) -> dict[str, float]:
    points = pq.ParquetFile(store.path("points", f"{file.sweep.name}.parquet"))
    for number, batch in enumerate(points.iter_batches(rows)):
        found = pl.DataFrame(batch).drop("sweep", "sweep_hash").unique("trial_id")
        found = found.with_columns(
            attempt_id=pl.col("trial_id").str.reverse(), attempt=pl.lit(1, pl.Int64), status=pl.lit("completed")
        )
        table = pl.concat([pl.DataFrame(TRIALS.empty_table()), found], how="diagonal").to_arrow().cast(TRIALS)
        store.publish_table(table, "trials", f"{number:05d}.parquet")
    return {}


def _all_done(file: SweepFile, store: Store) -> dict[str, float]:
    return {"to_run": len(make_plan(file, store).to_run)}


if __name__ == "__main__":
    main()
