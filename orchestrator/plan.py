"""What is left to run: the points of a sweep, folded into trials, minus what the store holds.

Columns, not objects (`grid.py`, `trials.py`): a million points against a million committed trials take seconds and
less memory than torch (`python -m benchmarks.planning`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from orchestrator.axis_values import AXES, axis_value
from orchestrator.choice import MISSING, Choice
from orchestrator.grid import ASKED, Grid
from orchestrator.parts import PARTS, Parts
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.schema import POINTS
from orchestrator.sweepfile import SweepFile
from orchestrator.trials import Trials
from training.config import DatasetConfig, ModelConfig, TrialConfig

if TYPE_CHECKING:
    from orchestrator.shard import Shard

KEPT = ("trial_id", *PARTS)
"""Columns of the grid that a planned trial is made of."""


@dataclass(kw_only=True)
class Plan:
    """A sweep against a store."""

    num_points: int = 0
    num_completed: int = 0
    num_failed: int = 0
    """Failed and not to be tried again by this plan."""
    folded: Counter[str] = field(default_factory=Counter)
    """Points that share another point's trial, by reason."""
    axes: dict[str, Counter[str]] = field(default_factory=dict)
    """Points by axis value, for the axes a sweep file names."""
    networks: dict[tuple[DatasetConfig, ModelConfig], None] = field(default_factory=dict)
    """Every data set and model that meet in the grid, in its order."""
    to_run: Trials
    num_left_out: int = 0
    """Missing and not chosen by this plan."""
    ids: pl.Series
    """Of the grid's trials."""
    sources: frozenset[str]
    """Hashes of the user's own code in the grid."""

    @property
    def num_trials(self) -> int:
        """Distinct trials of the grid."""
        return self.num_completed + self.num_failed + self.num_left_out + len(self.to_run)


def make_plan(file: SweepFile, store: Store, *, choice: Choice = MISSING, shard: Shard | None = None) -> Plan:
    """Fold the grid and subtract what is done or not chosen. By default failed trials are not.

    Of a `shard`, points are counted as of the whole sweep, trials as its own.
    """
    grid = Grid(file)
    axes: dict[str, Counter[str]] = {}
    networks: dict[tuple[DatasetConfig, ModelConfig], None] = {}
    found = []
    for chunk in grid.chunks():
        _count_axes(chunk, grid.parts, axes, networks)
        found.append(chunk.select(*KEPT, "reason"))
    points = pl.concat(found).with_columns(is_first=pl.col("trial_id").is_first_distinct())
    shared = points.filter(~pl.col("is_first")).group_by("reason", maintain_order=True).len()
    folded = Counter({grid.reasons[reason] or "listed more than once": count for reason, count in shared.iter_rows()})
    known = choice.known(scan_trials(store))
    trials = points.filter("is_first").select(KEPT)
    if shard is not None:
        trials = shard.part_of(trials, grid.parts)
    trials = trials.join(known, on="trial_id", how="left", maintain_order="left")
    status = trials["status"].fill_null("missing")
    to_run = status.is_in(choice.run_statuses)
    return Plan(
        num_points=points.height,
        num_completed=int((status == "completed").sum()),
        num_failed=int((status == "failed").sum()),
        num_left_out=int(((status == "missing") & ~to_run).sum()),
        folded=folded,
        axes=axes,
        networks=networks,
        to_run=Trials(
            trials.filter(to_run).with_columns(attempt=pl.col("attempt").fill_null(0) + 1).drop("status"),
            grid.parts,
        ),
        ids=points.filter("is_first")["trial_id"],
        sources=frozenset(part.source_hash for name in ("dataset", "model", "pruner") for part in grid.parts.of[name]),
    )


def points(file: SweepFile) -> Iterator[tuple[TrialConfig, TrialConfig, str, str]]:
    """(as asked, folded, why folded, trial id) of every point of the grid, in order."""
    grid = Grid(file)
    for chunk in grid.chunks():
        for row in chunk.iter_rows(named=True):
            asked = grid.parts.config({name: row[column] for name, column in ASKED.items()})
            yield asked, grid.parts.config(row), grid.reasons[row["reason"]], row["trial_id"]


def publish_points(file: SweepFile, store: Store) -> None:
    """Write the sweep's grid to the store, in place of the grid that an earlier version of its file or code had."""
    store.publish_tables(POINTS, Grid(file).points(), "points", f"{file.sweep.name}.parquet")


def _count_axes(
    chunk: pl.DataFrame,
    parts: Parts,
    axes: dict[str, Counter[str]],
    networks: dict[tuple[DatasetConfig, ModelConfig], None],
) -> None:
    """Add a chunk's points to the counts by axis value, and its networks to those known."""
    columns = ["dataset", "model", "asked_pruner", "asked_levels", "density"]
    for row in chunk.group_by(columns, maintain_order=True).len().iter_rows(named=True):
        networks[parts.of["dataset"][row["dataset"]], parts.of["model"][row["model"]]] = None
        for axis, names in AXES.items():
            value = axis_value(axis, parts, tuple(row[ASKED[name]] for name in names))
            axes.setdefault(axis, Counter())[value] += row["len"]
