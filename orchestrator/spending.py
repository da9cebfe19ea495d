"""How much of its budget a sweep has spent, by the rows of its store.

Counted are the seconds of every attempt that left a row, failed ones too, whoever ran it. Time without a row is not:
Ray's start, idle slots, a trial whose process was killed. The store is read now and then, because other runs may spend
as well, and between two readings what this run commits is added.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from orchestrator.budget import BudgetSpec
from orchestrator.cost import PHASES
from orchestrator.resources import paid_as_told
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points, scan_table
from orchestrator.sweep import Sweep

if TYPE_CHECKING:  # Ray and torch take seconds to import: only when there is something to run
    from orchestrator.cohort import Progress
    from orchestrator.ray_tune import ProgressDisplay

SECONDS_BETWEEN_READINGS = 60.0


class BudgetSpent(Exception):
    """Nothing further is begun; the message says what was spent and what to do."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What is spent of a limit."""

    of: str
    """gpu_hours, cpu_hours or money, as in the sweep file."""
    spent: float
    limit: float

    def __str__(self) -> str:
        said = {"gpu_hours": "GPU hours", "cpu_hours": "CPU hours"}.get(self.of, self.of)
        return f"{self.spent:.4g} of {self.limit:.4g} {said}"


@dataclass(kw_only=True)
class Spending:
    """Hours of trials, each times what it reserves."""

    gpu_hours: float = 0.0
    cpu_hours: float = 0.0

    def accounts(self, budget: BudgetSpec) -> list[Account]:
        """What is spent of each limit that a budget sets."""
        price = self.gpu_hours * (budget.price_per_gpu_hour or 0) + self.cpu_hours * (budget.price_per_cpu_hour or 0)
        limits = [
            ("gpu_hours", self.gpu_hours, budget.gpu_hours),
            ("cpu_hours", self.cpu_hours, budget.cpu_hours),
            ("money", price, budget.money),
        ]
        return [Account(of=of, spent=spent, limit=limit) for of, spent, limit in limits if limit is not None]

    def reached(self, budget: BudgetSpec) -> str:
        """Which limit is reached, as a clause; empty while none is."""
        return " and ".join(str(one) for one in self.accounts(budget) if one.spent >= one.limit)


def read_spending(store: Store, sweep: str, *, gpus_per_trial: float, cpus_per_trial: float) -> Spending:
    """What the trials of a sweep's grid have cost so far, at what a trial reserves now."""
    grid = scan_points(store).filter(pl.col("sweep") == sweep).select("trial_id").unique()
    rows = scan_table(store, "trials").join(grid, on="trial_id", how="semi")
    hours = pl.sum_horizontal(PHASES).sum() / 3600
    on_gpu = pl.col("device").fill_null("cpu") != "cpu"
    by_device = rows.group_by(gpu=on_gpu).agg(hours=hours).collect()
    spent = {gpu: float(hours) for gpu, hours in by_device.iter_rows()}
    return Spending(gpu_hours=spent.get(True, 0.0) * gpus_per_trial, cpu_hours=spent.get(False, 0.0) * cpus_per_trial)


def accounts_of(sweep: Sweep, told: Mapping[str, Any], store: Store) -> list[Account]:
    """What a sweep has spent of its budget, where it has one; `told` are the options of its last run."""
    if sweep.budget is None:
        return []
    return read_spending(store, sweep.name, **paid_as_told(sweep, told)).accounts(sweep.budget)


def accounts_json(accounts: Sequence[Account]) -> dict[str, dict[str, float]]:
    """JSON-ready values, by limit."""
    return {one.of: {"spent": one.spent, "limit": one.limit} for one in accounts}


def budget_line(sweep: str, accounts: Sequence[Account]) -> str:
    """In a sentence."""
    spent = ", ".join(map(str, accounts))
    is_over = any(one.spent >= one.limit for one in accounts)
    return f"budget of {sweep}: {spent} spent" + (": nothing further is begun" if is_over else "")


class Purse:
    """Watches a sweep's spending while it runs."""

    def __init__(
        self, budget: BudgetSpec, store: Store, sweep: str, *, gpus_per_trial: float, cpus_per_trial: float
    ) -> None:
        self._budget, self._store, self._sweep = budget, store, sweep
        self._reserved = {"gpus_per_trial": gpus_per_trial, "cpus_per_trial": cpus_per_trial}
        self.read()

    def read(self) -> None:
        """Count again what is in the store."""
        self._spending = read_spending(self._store, self._sweep, **self._reserved)
        self._read_at = time.monotonic()

    def add(self, progress: Progress) -> None:
        """Something was committed."""
        if time.monotonic() - self._read_at > SECONDS_BETWEEN_READINGS:
            self.read()  # what was committed is in it
            return
        self._spending.gpu_hours += progress.gpu_seconds * self._reserved["gpus_per_trial"] / 3600
        self._spending.cpu_hours += progress.cpu_seconds * self._reserved["cpus_per_trial"] / 3600

    @property
    def spent(self) -> str:
        """Which limit is reached, as a clause; empty while none is."""
        return self._spending.reached(self._budget)


class Metered:
    """A display that pays for what it shows, and ends the run when nothing is left to pay with."""

    def __init__(self, display: ProgressDisplay, purse: Purse) -> None:
        self._display, self._purse = display, purse
        self.is_over = False

    def advance(self, progress: Progress) -> None:
        """Some trials were committed."""
        self._display.advance(progress)
        self._purse.add(progress)
        if self._purse.spent and not self.is_over:
            self.is_over = True
            if threading.current_thread() is threading.main_thread():
                signal.raise_signal(signal.SIGUSR1)  # Tune's: trials in flight are finished and committed

    def set_running(self, num_cohorts: int) -> None:
        """This many cohorts are at work."""
        self._display.set_running(num_cohorts)

    def tick(self) -> None:
        """Time has passed."""
        self._display.tick()

    def worker_died(self) -> None:
        """A process running a cohort is gone; the cohort is started again."""
        self._display.worker_died()

    def stopping(self) -> None:
        """The user asked to stop."""
        self._display.stopping()

    def leaving(self) -> None:
        """Ray does not answer any more, and the process ends."""
        self._display.leaving()
