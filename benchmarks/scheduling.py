"""What scheduling and storing cost: trials a second, driver memory, files, and the share of one-second trials.

    python -m benchmarks.scheduling [--json] [--trials 10000] [--plain 50] [--seconds-trials 500] [--slots 2]

Trials do nothing (`benchmarks.no_op`); everything around them is a run as of `prunesweep run`. Printed:

    no-op        from the start of scheduling (Ray is up) to the last commit; the whole command, with planning and Ray's
                 start; growth of the driver's memory a trial over that time; files before and after it compacts
                 itself, and without those that it replaced, which stay for an hour
    plain Tune   no-op trials as one Tune trial each, --plain of them: function trainables, no loggers, in a fresh
                 process of the same run; neither its seconds nor its memory a trial get better with more of them
    one second   --seconds-trials trials that sleep a second: slot time beyond the sleeping, as a share of it, with and
                 without the start of the workers' processes, which is mostly the import of torch

`--trials 100000` is the run of 100,000 in one command. 0 leaves a part out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.memory import resident_bytes

SWEEP = """
name: scheduling
dataset: digits
model: mlp
pruner: [random, magnitude]
compression_exponent: [0.5, 1, 1.5, 2, 2.5]
seed: {{count: {seeds}}}
training: {{epochs: 1}}
"""
TRIALS_A_SEED = 10
PARTS = ("no-op", "plain Tune", "one second")


def main() -> None:
    """Measure every part in a process of its own and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--plain", type=int, default=50)
    parser.add_argument("--seconds-trials", type=int, default=500)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps({"no-op": _no_op, "plain Tune": _plain, "one second": _one_second}[arguments.part](arguments)))
        return
    command = [sys.executable, "-m", "benchmarks.scheduling", *sys.argv[1:], "--part"]
    asked = dict(zip(PARTS, (arguments.trials, arguments.plain, arguments.seconds_trials), strict=True))
    found = {}
    for part in (part for part in PARTS if asked[part]):
        done = subprocess.run([*command, part], check=True, stdout=subprocess.PIPE, text=True)
        found[part] = json.loads(done.stdout.splitlines()[-1])
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for part, row in found.items():
        print(part + "".join(f"\n  {name:<34} {value:,.6g}" for name, value in row.items()))


def _no_op(arguments: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        run = _run(arguments.trials, "benchmarks.no_op:run_nothing", arguments.slots, Path(folder))
        return {
            "trials a second": arguments.trials / run["seconds"],
            "seconds from scheduling to commit": run["seconds"],
            "of them until processes are up": run["start_seconds"],
            "seconds of the whole command": run["command_seconds"],
            "driver bytes a trial": run["driver_bytes"] / arguments.trials,
            "cohorts": run["cohorts"],
            "files": run["files"],
            "files after compaction": run["files_left"],
            "files after the hour for late readers": run["files_kept"],
        }


def _one_second(arguments: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        trials, slots = arguments.seconds_trials, arguments.slots
        run = _run(trials, "benchmarks.no_op:sleep_a_second", slots, Path(folder))
        return {
            "trials": trials,
            "slot seconds": run["seconds"] * slots,
            "overhead, share of slot time": 1 - trials / (run["seconds"] * slots),
            "overhead once processes are up": 1 - trials / ((run["seconds"] - run["start_seconds"]) * slots),
            "cohorts": run["cohorts"],
        }


def _run(num_trials: int, runner: str, slots: int, folder: Path) -> dict[str, float]:
    """One run of the product over trials of `runner`, and what was noticed of it."""
    import_module("orchestrator.ray_tune")  # before ray: it sets Ray's environment
    from ray.tune import Tuner
    from rich.console import Console

    from orchestrator.exit_codes import Exit
    from orchestrator.progress import RunDisplay
    from orchestrator.run import RunOptions, run_sweep
    from orchestrator.store.compact import remove_replaced
    from orchestrator.store.layout import Store
    from orchestrator.sweepfile import parse_sweep

    seen: dict[str, float] = {}
    fit, set_running = Tuner.fit, RunDisplay.set_running

    def watched(tuner: Any) -> Any:
        bytes_before, start = resident_bytes(), time.perf_counter()
        seen["began"] = start
        results = fit(tuner)
        seen["seconds"] = time.perf_counter() - start
        seen["driver_bytes"] = resident_bytes() - bytes_before
        seen["cohorts"] = len(results)
        seen["files"] = _num_files(folder)
        return results

    def noticed(display: RunDisplay, num_cohorts: int) -> None:
        seen.setdefault("start_seconds", time.perf_counter() - seen["began"])
        set_running(display, num_cohorts)

    text = SWEEP.format(seeds=num_trials // TRIALS_A_SEED)
    file = parse_sweep(text, name="scheduling.yaml", folder=folder)
    options = RunOptions(slots=slots, device="cpu", runner=runner)
    start = time.perf_counter()
    store = Store(folder / "store")
    with patch.object(Tuner, "fit", watched), patch.object(RunDisplay, "set_running", noticed):
        outcome, left = run_sweep(file, store, options, Console(file=sys.stderr))
    assert (outcome, left.num_completed) == (Exit.DONE, num_trials)
    seen |= {"command_seconds": time.perf_counter() - start, "files_left": _num_files(folder)}
    remove_replaced(store, grace_seconds=0)
    return seen | {"files_kept": _num_files(folder)}


def _num_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def _plain(arguments: argparse.Namespace) -> dict[str, float]:
    """As one writes it from Ray's manual: a function, a grid of configurations, `Tuner.fit`."""
    import_module("orchestrator.ray_tune")  # its environment: no loggers, which doubles plain Tune's speed
    import ray
    from ray.tune import RunConfig, Tuner, grid_search

    bytes_before = 0

    def trainable(config: dict[str, Any]) -> dict[str, float]:
        return {"loss": 0.0}

    with tempfile.TemporaryDirectory() as folder:
        ray.init(address="local", num_cpus=arguments.slots, include_dashboard=False, log_to_driver=False)
        bytes_before, start = resident_bytes(), time.perf_counter()
        results = Tuner(
            trainable,
            param_space={"number": grid_search(list(range(arguments.plain)))},
            run_config=RunConfig(name="plain", storage_path=folder, verbose=0),
        ).fit()
        seconds = time.perf_counter() - start
        assert len(results) == arguments.plain
        grown = resident_bytes() - bytes_before
        files = sum(1 for path in Path(folder).rglob("*") if path.is_file())
        ray.shutdown()
    return {
        "trials a second": arguments.plain / seconds,
        "driver bytes a trial": grown / arguments.plain,
        "files a trial": files / arguments.plain,
        "trials": arguments.plain,
    }


if __name__ == "__main__":
    main()
