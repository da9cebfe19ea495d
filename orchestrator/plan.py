"""What is left to run: the points of a sweep, folded into trials, minus what the store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from orchestrator.expand import expand
from orchestrator.identity import fold, trial_id
from orchestrator.pruner_text import pruner_text
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.rows import config_columns
from orchestrator.store.schema import POINTS
from orchestrator.sweepfile import SweepFile
from training.config import DatasetConfig, LevelsConfig, ModelConfig, PrunerConfig, TrialConfig

if TYPE_CHECKING:
    from orchestrator.shard import Shard

POINTS_PER_BATCH = 50_000


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A trial to run, and which attempt at it this would be."""

    trial_id: str
    attempt: int
    config: TrialConfig


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
    to_run: list[PlannedTrial] = field(default_factory=list)

    @property
    def num_trials(self) -> int:
        """Distinct trials of the grid."""
        return self.num_completed + self.num_failed + len(self.to_run)


def make_plan(file: SweepFile, store: Store, *, retry_failed: bool = False, shard: Shard | None = None) -> Plan:
    """Fold the grid and subtract what is done. Failed trials count as done unless `retry_failed`.

    Of a `shard`, points are counted as of the whole sweep, trials as its own.
    """
    known = _known(store)
    plan = Plan()
    seen: set[str] = set()
    for asked, config, reason, identity in points(file):
        plan.num_points += 1
        plan.networks[asked.dataset, asked.model] = None
        for axis, value in _axis_values(asked):
            plan.axes.setdefault(axis, Counter())[value] += 1
        if identity in seen:
            plan.folded[reason or "listed more than once"] += 1
            continue
        seen.add(identity)
        status, attempt = known.get(identity, ("missing", 0))
        trial = PlannedTrial(trial_id=identity, attempt=attempt + 1, config=config)
        if shard is not None and not shard.holds(trial):
            continue
        if status == "completed":
            plan.num_completed += 1
        elif status == "failed" and not retry_failed:
            plan.num_failed += 1
        else:
            plan.to_run.append(trial)
    return plan


def points(file: SweepFile) -> Iterator[tuple[TrialConfig, TrialConfig, str, str]]:
    """(as asked, folded, why folded, trial id) of every point of the grid, in order."""
    for asked in expand(file.sweep, UserCode(file.folder)):
        config, reason = fold(asked)
        yield asked, config, reason, trial_id(config)


def publish_points(file: SweepFile, store: Store) -> None:
    """Write the sweep's grid to the store, in place of the grid that an earlier version of its file or code had."""
    common = {"sweep": file.sweep.name, "sweep_hash": file.hash}
    batches: list[pa.Table] = []
    rows = []
    for asked, _, _, identity in points(file):
        rows.append(common | {"trial_id": identity} | config_columns(asked))
        if len(rows) == POINTS_PER_BATCH:
            batches.append(pa.Table.from_pylist(rows, schema=POINTS))
            rows = []
    batches.append(pa.Table.from_pylist(rows, schema=POINTS))
    store.publish_table(pa.concat_tables(batches), "points", f"{file.sweep.name}.parquet")


def _known(store: Store) -> dict[str, tuple[str, int]]:
    """Status and attempts so far of every trial in the store."""
    frame = scan_trials(store).select("trial_id", "status", pl.col("attempt")).collect()
    return {identity: (status, attempt) for identity, status, attempt in frame.iter_rows()}


def _axis_values(config: TrialConfig) -> Iterator[tuple[str, str]]:
    yield "dataset", config.dataset.name
    yield "model", _named(config.model.name, config.model.options)
    yield "pruner", _pruner_text(config.pruner, config.levels)
    yield "density", f"{config.density:f}"


@lru_cache(maxsize=4096)
def _pruner_text(pruner: PrunerConfig, levels: LevelsConfig) -> str:
    return pruner_text(asdict(pruner) | asdict(levels) | {"pruner": pruner.name, "pruner_options": pruner.options})


def _named(name: str, options: str) -> str:
    return name if options == "{}" else f"{name} {options}"
