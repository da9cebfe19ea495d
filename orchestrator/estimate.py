"""What a sweep will take and cost, said before it runs and compared afterwards.

An estimate is made from the cost model (`cost.py`): the store's history where there is one, a guess from sizes where
there is none. Every run keeps the one it started with (`estimates/<run id>.json` in the store), so that `status` can
say how far off it was.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from orchestrator.cost import PHASES, CostModel, Estimate
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table
from orchestrator.trials import Trials

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a slot costs while it works. Queueing, starting and idle machines come on top."""

    per_gpu_hour: float = 0.0
    per_cpu_hour: float = 0.0
    gpus_per_trial: float = 1.0
    cpus_per_trial: float = 1.0

    @property
    def per_slot_hour(self) -> float:
        """Of all that a slot reserves."""
        return self.per_gpu_hour * self.gpus_per_trial + self.per_cpu_hour * self.cpus_per_trial


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What some trials are expected to take."""

    trials: int
    seconds: Estimate
    num_measured: int
    """Trials of the store's history that it is made from; 0: a guess from sizes, which can be ten times off."""
    device: str
    num_calibrated: int = 0
    """Networks of which a training step was timed."""
    price: float | None = None
    """Of a slot and hour; None where nobody said."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        found: dict[str, Any] = {
            "trials": self.trials,
            "slot_hours": hours_of(self.seconds),
            "from_trials": self.num_measured,
            "from_networks": self.num_calibrated,
            "device": self.device,
        }
        if self.price is not None:
            found["money"] = {name: hours * self.price for name, hours in hours_of(self.seconds).items()}
        return found

    def lines(self) -> list[str]:
        """In sentences."""
        hours = hours_of(self.seconds)
        found = [f"about {said(hours)} slot-hours ({said(hours, interval=True)}), {self._basis}"]
        if self.price is not None:
            money = {name: value * self.price for name, value in hours.items()}
            found.append(f"at {self.price:g} a slot and hour about {said(money)} ({said(money, interval=True)})")
        return found

    @property
    def _basis(self) -> str:
        if self.num_measured:
            return f"from {self.num_measured:,} trials measured on {self.device}"
        if self.num_calibrated:
            networks = f"{self.num_calibrated:,} network{'s' if self.num_calibrated > 1 else ''}"
            return f"from a step of {networks}, unpruned, timed on {self.device}: pruned ones may take far less"
        return (
            f"a guess for {self.device} from sizes: nothing was measured yet, so it can be ten times off; --calibrate "
            "times each network here"
        )


def forecast(costs: CostModel, trials: Trials, price: Price | None = None) -> Forecast:
    """What `trials` are expected to take, and cost."""
    return Forecast(
        trials=len(trials),
        seconds=costs.estimate(trials),
        num_measured=costs.num_observed,
        device=costs.device,
        num_calibrated=costs.num_calibrated,
        price=price.per_slot_hour if price else None,
    )


def keep_forecast(store: Store, run_id: str, found: Forecast) -> None:
    """Write down what a run is expected to take."""
    content = {"trials": found.trials, "num_measured": found.num_measured, "seconds": asdict(found.seconds)}
    store.publish_text(json.dumps(content), "estimates", f"{run_id}.json")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A run's estimate beside what its trials took."""

    run_id: str
    trials: int
    done: int
    """Trials of the run that are in the store; failed ones took an unknown time."""
    expected: Estimate
    seconds: float
    """Of slots, for those that are completed."""

    @property
    def error(self) -> float | None:
        """(taken - expected) / expected; None before every trial is done."""
        return self.seconds / self.expected.seconds - 1 if self.done >= self.trials else None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "run": self.run_id,
            "trials": self.trials,
            "done": self.done,
            "expected_slot_hours": hours_of(self.expected),
            "slot_hours": self.seconds / HOUR,
            "error": self.error,
        }

    def line(self) -> str:
        """In a sentence."""
        hours, taken = hours_of(self.expected), said({"expected": self.seconds / HOUR})
        line = f"run {self.run_id}: {said(hours)} slot-hours expected ({said(hours, interval=True)}), {taken} taken"
        if self.error is None:
            return f"{line} by {self.done:,} of {self.trials:,} trials"
        return f"{line}: {self.error:+.0%}"


def outcomes(store: Store) -> list[Outcome]:
    """Every run that wrote down an estimate, in the order of their start."""
    names = [name for name in store.files("estimates") if name.endswith(".json")]
    if not names:
        return []
    taken = pl.sum_horizontal(pl.col(PHASES).fill_null(0.0))
    runs = scan_table(store, "trials").group_by("run_id").agg(done=pl.col("trial_id").n_unique(), seconds=taken.sum())
    done = {run: (count, seconds) for run, count, seconds in runs.collect().iter_rows()}
    found = []
    for name in names:
        run_id, content = name.removesuffix(".json"), json.loads(store.read_text("estimates", name))
        count, seconds = done.get(run_id, (0, 0.0))
        expected = Estimate(**content["seconds"])
        found.append(Outcome(run_id=run_id, trials=content["trials"], done=count, expected=expected, seconds=seconds))
    return found


def hours_of(seconds: Estimate) -> dict[str, float]:
    """An estimate in hours."""
    return {"expected": seconds.seconds / HOUR, "low": seconds.low / HOUR, "high": seconds.high / HOUR}


def said(values: dict[str, float], *, interval: bool = False) -> str:
    """Two digits are all that an estimate has.

    >>> said({"expected": 12.34}), said({"low": 0.00123, "high": 1234.0}, interval=True)
    ('12', '0.0012 to 1,200')
    """
    keys = ("low", "high") if interval else ("expected",)
    return " to ".join(f"{float(f'{values[key]:.2g}'):,.12g}" for key in keys)
