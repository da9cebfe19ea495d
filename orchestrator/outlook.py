"""What a store's sweeps have left to run, how fast that goes and when it is done: read from the store alone.

A run shows the same of itself (`run_state.py`); this is for whoever looks on, from another machine or a day later.
Clocks of the machines that wrote the rows play a part here, and nowhere else: nothing is decided by it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from orchestrator.cost import COLUMNS, PHASES, CostModel, Estimate
from orchestrator.estimate import hours_of, said
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points, scan_table

SILENT_SECONDS = 600.0
"""After which a run that committed nothing is taken for dead, unless its trials take longer."""
SILENT_TRIALS = 3.0
"""The same in times of its longest trial."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Of the trials that have no row yet."""

    trials: int
    slot_seconds: Estimate | None
    """None: nothing was measured."""
    runs: int
    """Runs that are going on, as far as their rows say."""
    trials_per_second: float
    """Of these runs since they began, failed trials too."""
    busy_slots: float
    """Slots that were at work on average, for these runs' committed trials."""

    @property
    def seconds(self) -> Estimate | None:
        """Until all are done, if the runs go on as they did; None where none does or nothing was measured."""
        left = self.slot_seconds
        if left is None or not self.busy_slots:
            return None
        slots = min(self.busy_slots, self.trials)
        return Estimate(seconds=left.seconds / slots, low=left.low / slots, high=left.high / slots)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "trials": self.trials,
            "slot_hours": hours_of(self.slot_seconds) if self.slot_seconds else None,
            "runs": self.runs,
            "trials_per_second": self.trials_per_second,
            "busy_slots": self.busy_slots,
            "seconds": asdict(self.seconds) if self.seconds else None,
        }

    def lines(self) -> list[str]:
        """In sentences; none where nothing is left."""
        if not self.trials:
            return []
        found = []
        if self.slot_seconds:
            hours = hours_of(self.slot_seconds)
            between = said(hours, interval=True)
            found.append(f"left: {self.trials:,} trials, about {said(hours)} slot-hours ({between})")
        if self.runs:
            pace = f"{self.runs:,} running: {self.trials_per_second * 60:.3g} trials a minute"
            pace += f", {self.busy_slots:.1f} slots busy"
            if self.seconds:
                hours = hours_of(self.seconds)
                pace += f", about {said(hours)} hours left ({said(hours, interval=True)})"
            found.append(pace)
        return found


def outlook(store: Store, now: float | None = None) -> Outlook:
    """What a store's sweeps have left; `now` is a Unix time."""
    known = scan_table(store, "trials").select("trial_id").unique()
    asked = scan_points(store).select("trial_id", *COLUMNS)
    missing = asked.join(known, on="trial_id", how="anti").unique("trial_id")
    cells = missing.group_by(COLUMNS).agg(count=pl.len()).collect()
    trials = int(cells["count"].sum())
    runs, pace, busy = _pace(store, time.time() if now is None else now) if trials else (0, 0.0, 0.0)
    costs = CostModel.from_store(store, device="auto") if trials else CostModel()
    rows = list(cells.iter_rows(named=True))
    left = costs.estimate_cells(rows, cells["count"].to_list()) if costs.num_observed else None
    return Outlook(trials=trials, slot_seconds=left, runs=runs, trials_per_second=pace, busy_slots=busy)


def _pace(store: Store, now: float) -> tuple[int, float, float]:
    """Runs that are going on, their trials a second, and the slots that these kept busy."""
    unfinished = store.folders("runs")
    seconds = pl.sum_horizontal(pl.col(PHASES).fill_null(0.0))
    finished_at = pl.col("finished_at").dt.epoch("us") / 1e6
    runs = (
        scan_table(store, "trials")
        .filter(pl.col("run_id").is_in(unfinished))
        .group_by("run_id")
        .agg(
            count=pl.len(),
            busy=seconds.sum(),
            longest=seconds.max(),
            began=(finished_at - seconds).min(),
            last=finished_at.max(),
        )
        .filter(now - pl.col("last") <= pl.max_horizontal(pl.lit(SILENT_SECONDS), SILENT_TRIALS * pl.col("longest")))
        .with_columns(elapsed=pl.max_horizontal(now - pl.col("began"), pl.lit(1.0)))
        .collect()
    )
    pace, busy = (float((runs[name] / runs["elapsed"]).sum()) for name in ("count", "busy"))
    return runs.height, pace, busy
