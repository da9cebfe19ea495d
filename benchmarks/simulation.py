"""How well a sweep keeps 1 to 1,024 slots busy: the real scheduler, its real cost model, simulated seconds.

    python -m benchmarks.simulation [--json] [--trials 10000] [--slots 1,2,...,1024] [--figure FILE.png] [--seed 0]

No trial is run. `orchestrator.schedule.Schedule` hands out cohorts and learns from what they report, as in a real run;
what takes time is simulated event by event:

- a trial: minutes of the dense network (`DENSE_MINUTES`, an assumption; only their ratio to the other costs matters)
  over the speed-up that `benchmarks.step` measured for its pruner and exponent, and 5 % of noise from trial to trial;
- handing out a cohort, one after the other on the driver, opening it on the worker, and committing a segment: measured
  by `benchmarks.scheduling` and rounded up;
- a slot's start (a node that boots is not in it), and after each death of its process the same again. Processes die at
  random, once in so many hours of a slot; a trial goes on from its last checkpoint, 300 s ago at most.

Efficiency is seconds of trials over slots x seconds from the first start to the last commit: everything that is not
training counts against it. Printed are three ways: with the store's history, with nothing measured yet, and, for
comparison, equal shares of neighbouring trials, 8 a slot, as one splits a list.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cohort import FLUSH_SECONDS, FLUSH_TRIALS, Cohort, Progress
from orchestrator.cost import CostModel, Sizes
from orchestrator.plan import make_plan
from orchestrator.schedule import COHORTS_PER_SLOT, Schedule, in_running_order
from orchestrator.store.layout import Store
from orchestrator.sweepfile import parse_sweep
from orchestrator.trials import Trials
from training.config import CHECKPOINT_SECONDS

SWEEP = """
name: simulation
dataset: cifar100
model: [vgg16_bn, resnet18]
pruner: [random, snip, {{name: synflow, iterations: 100}}]
compression_exponent: [0, 1, 2, 3, 4]
seed: {{count: {seeds}}}
training: {{epochs: 160}}
"""
TRIALS_A_SEED = 26  # of 30 points: four dense ones are another's

DENSE_MINUTES = {"vgg16_bn": 20.0, "resnet18": 40.0}
COLLAPSED_SECONDS = 10.0
SPEEDUPS: dict[tuple[str, str], tuple[float | None, ...]] = {
    ("vgg16_bn", "none"): (1.12,),
    ("vgg16_bn", "synflow"): (1.12, 1.71, 4.24, 20.1, 51.4),
    ("vgg16_bn", "snip"): (1.12, 1.07, None, None, None),
    ("vgg16_bn", "random"): (1.12, 1.09, 1.28, None, None),
    ("resnet18", "none"): (1.14,),
    ("resnet18", "synflow"): (1.14, 1.58, 3.97, 17.6, 44.2),
    ("resnet18", "snip"): (1.14, 1.06, 1.86, None, None),
    ("resnet18", "random"): (1.14, 1.11, 1.24, 12.3, None),
}
"""By exponent 0 to 4, from docs/performance.md (step); None is a collapsed network."""
SIZES = {
    ("cifar100", "{}", "vgg16_bn", "{}"): Sizes(num_train=50_000, num_classes=100, macs=314_000_000),
    ("cifar100", "{}", "resnet18", "{}"): Sizes(num_train=50_000, num_classes=100, macs=556_000_000),
}

HAND_OUT_SECONDS = 0.03
"""Of the driver, a cohort: Tune starts 36 to 56 of its trials a second."""
REPORT_SECONDS = 0.005
"""Of the driver, a segment that a cohort reports."""
OPEN_SECONDS = 0.2
"""Of the slot, a cohort: settings, plan rows, start marker."""
COMMIT_SECONDS = 0.05
"""Of the slot, a segment."""
START_SECONDS = 20.0
"""Of a slot: its process starts and imports torch."""
HOURS_BETWEEN_DEATHS = 24.0
"""Of one slot."""
NOISE = 0.05
SECONDS_BETWEEN_PREDICTIONS = 60.0

WAYS = ("history", "nothing measured", "equal shares")


class EqualShares:
    """The plan in its own order, cut into 8 equal ranges a slot."""

    def __init__(self, trials: Trials, slots: int) -> None:
        self.trials = trials
        self._size = max(1, math.ceil(len(trials) / (COHORTS_PER_SLOT * slots)))
        self._next = 0

    def next_cohort(self, slots: int) -> Cohort | None:
        """The next range."""
        if self._next >= len(self.trials):
            return None
        start, self._next = self._next, min(len(self.trials), self._next + self._size)
        return Cohort(location="", run_id="", number=start, start=start, stop=self._next)

    def observe(self, progress: Progress) -> None:
        """Nothing is learnt."""

    def cohort_ended(self) -> None:
        """Nothing is waited for."""


@dataclass
class Simulation:
    """One run of a sweep on so many slots."""

    schedule: Schedule | EqualShares
    seconds: list[float]
    """Of each trial, by row of the plan."""
    slots: int
    draw: random.Random
    now: float = 0.0
    deaths: int = 0
    cohorts: int = 0
    _driver_free_at: float = 0.0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _idle: list[Callable[[], None]] = field(default_factory=list)
    _number: int = 0

    def run(self) -> float:
        """Seconds until the last trial is committed."""
        for _ in range(self.slots):
            self._later(START_SECONDS, self._ask)
        last = 0.0
        while self._events:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
            last = self.now
        return last

    def _later(self, seconds: float, happens: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + seconds, self._number, happens))

    def _driver(self, seconds: float) -> float:
        """Seconds until the driver, which does one thing at a time, has done this too."""
        self._driver_free_at = max(self._driver_free_at, self.now) + seconds
        return self._driver_free_at - self.now

    def _ask(self) -> None:
        cohort = self.schedule.next_cohort(self.slots)
        if cohort is None:
            self._idle.append(self._ask)
            return
        self.cohorts += 1
        steps = self._steps(cohort)
        self._later(self._driver(HAND_OUT_SECONDS) + OPEN_SECONDS, lambda: self._step(steps))

    def _step(self, steps: Iterator[tuple[float, Progress]]) -> None:
        """Take the next segment; report it when it is committed."""
        seconds, progress = next(steps)

        def committed() -> None:
            self.schedule.observe(progress)
            wait = self._driver(REPORT_SECONDS)
            if not progress.finished:
                self._later(wait, lambda: self._step(steps))
                return
            self.schedule.cohort_ended()
            self._later(wait, self._ask)
            if progress.given_back:
                for ask in self._idle:
                    self._later(wait, ask)
                self._idle.clear()

        self._later(seconds, committed)

    def _steps(self, cohort: Cohort) -> Iterator[tuple[float, Progress]]:
        """Segments of a cohort as `CohortRunner` cuts them: what each takes, and what it reports."""
        spent, segment, progress = 0.0, 0.0, Progress()
        for row in range(cohort.start, cohort.stop):
            took = self._with_deaths(self.seconds[row])
            segment += took
            spent += took
            progress.completed += 1
            progress.seconds[row] = took
            is_late = cohort.patience_seconds is not None and spent > cohort.patience_seconds
            progress.finished = is_late or row + 1 == cohort.stop
            if is_late and row + 1 < cohort.stop:
                progress.given_back = (row + 1, cohort.stop)
            if progress.finished or segment > FLUSH_SECONDS or progress.completed == FLUSH_TRIALS:
                yield segment + COMMIT_SECONDS, progress
                if progress.finished:
                    return
                segment, progress = 0.0, Progress()

    def _with_deaths(self, seconds: float) -> float:
        """What a trial takes where its process may die: each time it starts anew from its last checkpoint."""
        took, done = 0.0, 0.0
        while True:
            until_death = self.draw.expovariate(1 / (3600 * HOURS_BETWEEN_DEATHS))
            if done + until_death >= seconds:
                return took + seconds - done
            self.deaths += 1
            took += until_death + START_SECONDS
            done += until_death - until_death % CHECKPOINT_SECONDS


def simulate(trials: Trials, seconds: dict[str, float], slots: int, way: str, seed: int) -> dict[str, float]:
    """One point of the figure. `seconds` by trial id."""
    costs = CostModel(device="cuda", sizes=SIZES)
    if way == "history":
        for trial in list(trials)[::20]:
            costs.observe(trial.config, seconds[trial.trial_id])
    simulation = Simulation(EqualShares(trials, slots), [], slots, random.Random(seed))
    if way != "equal shares":
        ordered = in_running_order(trials, costs)
        simulation.schedule = Schedule(
            ordered,
            costs,
            location="",
            run_id="",
            clock=lambda: simulation.now,
            seconds_between_predictions=SECONDS_BETWEEN_PREDICTIONS,
        )
    simulation.seconds = [seconds[one] for one in simulation.schedule.trials.frame["trial_id"]]
    took = simulation.run()
    return {
        "slots": slots,
        "efficiency": sum(simulation.seconds) / (slots * took),
        "hours": took / 3600,
        "cohorts": simulation.cohorts,
        "deaths": simulation.deaths,
    }


def sweep(num_trials: int, seed: int) -> tuple[Trials, dict[str, float]]:
    """The trials of the sweep, and what each takes."""
    text = SWEEP.format(seeds=math.ceil(num_trials / TRIALS_A_SEED))
    file = parse_sweep(text, name="simulation.yaml", folder=Path())
    trials = make_plan(file, Store("/nowhere")).to_run[:num_trials]
    draw = random.Random(seed)
    return trials, {trial.trial_id: _trial_seconds(trial.config, draw) for trial in trials}


def _trial_seconds(config: Any, draw: random.Random) -> float:
    exponent = round(-math.log10(config.density))
    speedup = SPEEDUPS[config.model.name, config.pruner.name][exponent]
    if speedup is None:
        return COLLAPSED_SECONDS * draw.lognormvariate(0, NOISE)
    return 60 * DENSE_MINUTES[config.model.name] / speedup * draw.lognormvariate(0, NOISE)


def draw_figure(rows: list[dict[str, Any]], num_trials: int, path: Path) -> None:
    """Efficiency against slots, a line a way."""
    import altair as alt
    import polars as pl
    import vl_convert

    base = alt.Chart(pl.DataFrame(rows)).encode(
        x=alt.X("slots:Q", scale=alt.Scale(type="log", base=2), title="slots"),
        y=alt.Y("efficiency:Q", scale=alt.Scale(domain=[0.5, 1.0]), axis=alt.Axis(format="%"), title="efficiency"),
        color=alt.Color("way:N", sort=list(WAYS), title=None, scale=alt.Scale(range=["#0072b2", "#e69f00", "#999999"])),
    )
    line = alt.Chart(pl.DataFrame({"efficiency": [0.95]})).mark_rule(strokeDash=[4, 4], color="#666666")
    chart = (base.mark_line() + base.mark_point(filled=True, size=40) + line.encode(y="efficiency:Q")).properties(
        width=520, height=280, title=f"{num_trials:,} trials, simulated: share of the slots' time that trains"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=2))


def main() -> None:
    """Simulate every way on every number of slots; print a table (or JSON) and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", default=",".join(str(2**power) for power in range(11)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    trials, seconds = sweep(arguments.trials, arguments.seed)
    rows = [
        {"way": way} | simulate(trials, seconds, int(slots), way, arguments.seed)
        for slots in arguments.slots.split(",")
        for way in WAYS
    ]
    if arguments.figure:
        draw_figure(rows, len(trials), arguments.figure)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    hours, longest = sum(seconds.values()) / 3600, max(seconds.values())
    print(f"{len(trials):,} trials, {hours:,.0f} slot-hours, longest {longest:,.0f} s")
    print(f"{'slots':>6} " + " ".join(f"{way:>28}" for way in WAYS))
    for place in range(0, len(rows), len(WAYS)):
        cells = [
            f"{row['efficiency']:7.1%} {row['hours']:8.2f} h {row['cohorts']:6,} c." for row in rows[place : place + 3]
        ]
        print(f"{rows[place]['slots']:6,} " + " ".join(f"{cell:>28}" for cell in cells))


if __name__ == "__main__":
    main()
