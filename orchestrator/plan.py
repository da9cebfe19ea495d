"""What is left to run: the points of a sweep, folded into trials, minus what the store holds.

Columns, not objects (`grid.py`, `trials.py`): a million points against a million committed trials take seconds and
less memory than torch (`python -m benchmarks.planning`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from orchestrator.grid import ASKED, Grid
from orchestrator.parts import PARTS, Parts
from orchestrator.pruner_text import pruner_text
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.schema import POINTS
from orchestrator.sweepfile import SweepFile
from orchestrator.trials import Trials
from training.config import DatasetConfig, LevelsConfig, ModelConfig, PrunerConfig, TrialConfig

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

    @property
    def num_trials(self) -> int:
        """Distinct trials of the grid."""
        return self.num_completed + self.num_failed + len(self.to_run)


def make_plan(file: SweepFile, store: Store, *, retry_failed: bool = False, shard: Shard | None = None) -> Plan:
    """Fold the grid and subtract what is done. Failed trials count as done unless `retry_failed`.

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
    known = scan_trials(store).select("trial_id", "status", "attempt").collect()
    trials = points.filter("is_first").select(KEPT)
    if shard is not None:
        trials = shard.part_of(trials, grid.parts)
    trials = trials.join(known, on="trial_id", how="left", maintain_order="left")
    skipped = ["completed"] if retry_failed else ["completed", "failed"]
    return Plan(
        num_points=points.height,
        num_completed=int((trials["status"] == "completed").sum()),
        num_failed=0 if retry_failed else int((trials["status"] == "failed").sum()),
        folded=folded,
        axes=axes,
        networks=networks,
        to_run=Trials(
            trials.filter(~pl.col("status").fill_null("missing").is_in(skipped))
            .with_columns(attempt=pl.col("attempt").fill_null(0) + 1)
            .drop("status"),
            grid.parts,
        ),
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
    for dataset, model, pruner, levels, density, count in (
        chunk.group_by(columns, maintain_order=True).len().iter_rows()
    ):
        of = parts.of
        networks[of["dataset"][dataset], of["model"][model]] = None
        for axis, value in (
            ("dataset", of["dataset"][dataset].name),
            ("model", _named(of["model"][model].name, of["model"][model].options)),
            ("pruner", _pruner_text(of["pruner"][pruner], of["levels"][levels])),
            ("density", f"{of['density'][density]:f}"),
        ):
            axes.setdefault(axis, Counter())[value] += count


@lru_cache(maxsize=4096)
def _pruner_text(pruner: PrunerConfig, levels: LevelsConfig) -> str:
    return pruner_text(asdict(pruner) | asdict(levels) | {"pruner": pruner.name, "pruner_options": pruner.options})


def _named(name: str, options: str) -> str:
    return name if options == "{}" else f"{name} {options}"
