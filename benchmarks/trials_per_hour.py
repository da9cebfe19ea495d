"""Whole trials per hour: the product against a careful user's loop, on a grid of real data, and what gives how much.

    python -m benchmarks.trials_per_hour [--json] [--quick] [--root ../shared/data] [--model vgg11_bn]
        [--pruners random,magnitude,snip,grasp,synflow] [--exponents 0,0.5,...,4] [--seeds 1] [--epochs 1]
        [--images 2560] [--test-images 1024] [--rounds 100] [--examples-per-class 1] [--processes <cores>]

Every point of the grid is run three ways: by `benchmarks.careful_user`, one trial after the other; by the product with
the reference engine; by the product as it is (planned and folded, in the cohorts that `prunesweep run` makes). All go
through one pool of as many one-threaded processes as cores, in turn, so that every process is busy and a machine that
slows down slows all three. Trials per hour are points * 3600 * processes / processor seconds; importing, loading
the data and Ray (0.3 ms a trial) are left out on both sides. Nothing is extrapolated: the default is one seed of
the grid of five pruners, nine exponents and three seeds, and --seeds 3 runs it whole.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch

from benchmarks.attribution import Point, attribution
from benchmarks.careful_user import CarefulUser
from benchmarks.few_images import few_images, has_cifar100
from benchmarks.phases import Stopwatch, WatchedContext
from benchmarks.scoring import machine
from orchestrator.cost import CostModel
from orchestrator.plan import points
from orchestrator.schedule import Schedule, cohorts_of, in_running_order
from orchestrator.sweepfile import parse_sweep
from orchestrator.trials import PlannedTrial, Trials
from training.config import TrialConfig
from training.trial import run_cohort

REPOSITORY = Path(__file__).resolve().parents[1]
CAREFUL, REFERENCE, OURS = "careful user", "reference engine", "compact engine"

SWEEP = """
name: trials-per-hour
dataset: {{name: "benchmarks.few_images:few_images", num_train: {images}, num_test: {test_images}}}
model: {model}
pruner:
{pruners}
compression_exponent: [{exponents}]
seed: {{count: {seeds}}}
training: {{epochs: {epochs}, optimizer: momentum, lr: 0.01, weight_decay: 0.0005, batch_size: 128, augment: true}}
"""


@dataclass(frozen=True)
class Job:
    """What one process does at a time: trials of one way that share a context."""

    way: str
    trials: tuple[PlannedTrial, ...]
    root: str


@dataclass(frozen=True)
class Done:
    """What one trial took and gave."""

    way: str
    trial_id: str
    seconds: dict[str, float]
    """Of processor time, by phase."""
    kept: int
    collapsed: bool
    """Whether nothing but labels mattered to its training."""
    accuracy: float


def work(job: Job) -> list[Done]:
    """Run a job in this process."""
    return list(_careful(job) if job.way == CAREFUL else _ours(job))


def _careful(job: Job) -> Iterator[Done]:
    torch.set_num_threads(1)
    user = CarefulUser(few_images(data_root=Path(job.root), **job.trials[0].config.dataset.kwargs))
    for trial in job.trials:
        watch = Stopwatch()
        kept, accuracy = user.run(trial.config, watch)
        yield Done(job.way, trial.trial_id, watch.lap(), kept, False, accuracy)


_contexts: dict[str, WatchedContext] = {}
"""Of this process, by way: kept from cohort to cohort, as a run's workers do."""


def _ours(job: Job) -> Iterator[Done]:
    if job.way not in _contexts:
        engine = "reference" if job.way == REFERENCE else "compact"
        _contexts[job.way] = WatchedContext("cpu", engine=engine, data_root=job.root)
    context = _contexts[job.way]
    context.dataset(job.trials[0].config.dataset)
    context.watch.lap()
    for trial, record in zip(job.trials, run_cohort((one.config for one in job.trials), context), strict=True):
        if record.error is not None:
            raise RuntimeError(f"{record.error.type}: {record.error.message}")
        assert record.final is not None
        seconds, kept = context.watch.lap(), sum(layer.kept for layer in record.layers)
        yield Done(job.way, trial.trial_id, seconds, kept, record.is_connected is False, record.final.test_accuracy)


def jobs_of(arguments: argparse.Namespace) -> tuple[list[tuple[TrialConfig, str]], list[Job]]:
    """The points of the grid with their trials' ids, and all jobs, the three ways in turn."""
    pruners = "\n".join(
        f"  - {{name: {name}{f', iterations: {arguments.rounds}' if name == 'synflow' else ''}, "
        f"examples_per_class: {arguments.examples_per_class}}}"
        for name in arguments.pruners.split(",")
    )
    text = SWEEP.format(**vars(arguments) | {"pruners": pruners})
    asked: list[tuple[TrialConfig, str]] = []
    folded: dict[str, PlannedTrial] = {}
    for point, config, _, identity in points(parse_sweep(text, name="trials_per_hour", folder=REPOSITORY)):
        asked.append((point, identity))
        folded.setdefault(identity, PlannedTrial(trial_id=identity, attempt=1, config=config))
    planned = Trials.of(folded.values())
    costs = CostModel()
    planned = in_running_order(planned, costs)
    cohorts = list(cohorts_of(Schedule(planned, costs, location="", run_id=""), arguments.processes))
    root = str(arguments.root)
    numbered = (PlannedTrial(trial_id=str(number), attempt=1, config=point) for number, (point, _) in enumerate(asked))
    ways = [[Job(CAREFUL, (trial,), root) for trial in numbered]]
    for way in (OURS, REFERENCE):
        ways.append([Job(way, tuple(planned[cohort.start : cohort.stop]), root) for cohort in cohorts])
    in_turn = chain.from_iterable(zip_longest(*(_spread(jobs, len(asked)) for jobs in ways)))
    return asked, [job for job in in_turn if job is not None]


def _spread(jobs: list[Job], length: int) -> list[Job | None]:
    """`jobs` in order, at even distances in a list of `length`."""
    places: list[Job | None] = [None] * length
    for number, job in enumerate(jobs):
        places[number * length // len(jobs)] = job
    return places


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of the grid."""
    asked, jobs = jobs_of(arguments)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, mp_context=spawn) as pool:
        done = list(chain.from_iterable(pool.map(work, jobs)))
    found = {(one.way, one.trial_id): one for one in done}
    measured = [
        Point(
            pruner=config.pruner.name,
            exponent=float(-config.density.log10()),
            seed=config.seeds.init,
            trial_id=identity,
            careful=found[CAREFUL, str(number)].seconds,
            reference=found[REFERENCE, identity].seconds,
            compact=found[OURS, identity].seconds,
            collapsed=found[OURS, identity].collapsed,
            same_kept=found[CAREFUL, str(number)].kept == found[OURS, identity].kept,
            accuracies=(found[CAREFUL, str(number)].accuracy, found[OURS, identity].accuracy),
        )
        for number, (config, identity) in enumerate(asked)
    ]
    data = "CIFAR-100" if has_cifar100(arguments.root) else "digits at 32x32 (no CIFAR-100 under --root)"
    grid = f"{arguments.model}, {data}, {arguments.images} images, {arguments.epochs} epochs, seeds {arguments.seeds}"
    return {
        "grid": grid,
        "pruners": arguments.pruners,
        "exponents": arguments.exponents,
        "points": len(measured),
        "trials": len({one.trial_id for one in measured}),
        "same_kept_everywhere": all(one.same_kept for one in measured),
        **attribution(measured, arguments.processes),
        "cells": [asdict(one) for one in measured],
    }


def show(found: dict[str, Any]) -> None:
    """Print the totals, what gives how much, and seconds a trial by cell."""
    print(f"{found['grid']}: {found['points']} points, {found['trials']} trials")
    rate = found["trials_per_hour"]
    print(f"trials per hour: careful user {rate['careful']:.0f}, product {rate['product']:.0f}: ", end="")
    print(f"{found['times_faster']:.2f} times as many")
    print(f"\n{'switched on, one after the other':50} {'processor s':>11} {'times faster':>12}")
    for part in found["parts"]:
        print(f"{part['part']:50} {part['seconds']:11.1f} {part['times_faster']:12.2f}")
    print(f"\n{'processor seconds':22} {'careful user':>12} {'reference':>10} {'compact':>10}")
    for phase, seconds in found["phases"].items():
        print(f"{phase:22} {seconds['careful']:12.1f} {seconds['reference']:10.1f} {seconds['compact']:10.1f}")
    print(f"\n{'pruner':10} {'exponent':>8} {'careful s':>10} {'reference s':>11} {'compact s':>10}")
    for cell in found["cells"]:
        sums = [sum(cell[way].values()) for way in ("careful", "reference", "compact")]
        print(
            f"{cell['pruner']:10} {cell['exponent']:8g} {sums[0]:10.2f} {sums[1]:11.2f} {sums[2]:10.2f}"
            f"{'  collapsed' if cell['collapsed'] else ''}"
        )


def parser_of() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="four points of a tiny network: whether it runs at all")
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="vgg11_bn")
    parser.add_argument("--pruners", default="random,magnitude,snip,grasp,synflow")
    parser.add_argument("--exponents", default="0,0.5,1,1.5,2,2.5,3,3.5,4")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=2560, help="at least those of a prune set of ten a class")
    parser.add_argument("--test-images", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=100, help="of SynFlow")
    parser.add_argument("--examples-per-class", type=int, default=1, help="of the prune set; the paper's 10 for 50,000")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    return parser


def settled(arguments: argparse.Namespace) -> argparse.Namespace:
    """The options with what --quick stands for."""
    if arguments.quick:
        arguments.model, arguments.pruners, arguments.exponents = "convnet", "random,synflow", "0,2"
        arguments.images, arguments.test_images, arguments.rounds = 1024, 256, 10
    return arguments


def main() -> None:
    """Print the table, or JSON."""
    torch.set_num_threads(1)
    arguments = settled(parser_of().parse_args())
    found = {"machine": machine() | {"dtype": "float32", "processes": arguments.processes}} | measure(arguments)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print(", ".join(f"{key} {value}" for key, value in found["machine"].items()))
        show(found)


if __name__ == "__main__":
    main()
