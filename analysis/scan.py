"""Open stores for analysis: their tables, and `results`, where every point of a grid meets its trial.

`results` has one row for each trial and curve. Configuration columns are the point's, as it was asked for, so the dense
trial that all pruners share stands under each of them; measured columns are the trial's. Label columns say in words
what is plotted as one panel or one curve, naming only the settings that tell several of a kind apart.

Everything is lazy: no row is read before a summary is collected. Of the files, `scan` looks at footers only, to say
which of them is no part of a store, and to leave out of the work what is the same in every row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from analysis.labels import PANEL, labelled
from orchestrator.errors import BadInput, did_you_mean
from orchestrator.store.footers import constant_columns, schema_faults
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points, scan_table, winners
from orchestrator.store.schema import CONFIG_COLUMNS, TABLES

CHILDREN = ("epochs", "layers", "rounds", "masks")
CHECKED_FILES = 20
"""Of each table whose footers `scan` reads, spread over all: more are few where a store is compacted."""

_CONFIG = [name for name, _ in CONFIG_COLUMNS]
_SEEDS = ["seed_init", "seed_data", "seed_prune"]
_SHARED = "answers_several_points"


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The tables of one or several stores, one row a trial however often it was attempted.

    Every table has a column `store`: the location, as it was given, that a row is from.
    """

    stores: tuple[str, ...]
    trials: pl.LazyFrame
    epochs: pl.LazyFrame
    layers: pl.LazyFrame
    rounds: pl.LazyFrame
    masks: pl.LazyFrame
    """Empty unless the sweep asked for masks."""
    points: pl.LazyFrame
    """The grids of all sweeps, each point once."""
    results: pl.LazyFrame
    """Points joined to their trials: configuration, `dataset_label`, `model_label`, `training_label`, `curve`, the
    columns of `trials`, and `outcome`: "completed"; "diverged" (completed, but the final test loss is not a finite
    number); "failed"; "missing" (not in the store yet). Sorted by labels, density and seeds."""

    def of(self, store: str) -> Trials:
        """What is of one store, with the labels that it has beside the others. Raises BadInput for an unknown one."""
        if store not in self.stores:
            raise BadInput(f"{store!r} was not opened, {did_you_mean(store, self.stores)}")
        tables = ("trials", *CHILDREN, "points", "results")
        return replace(
            self, stores=(store,), **{name: getattr(self, name).filter(pl.col("store") == store) for name in tables}
        )


def scan(*locations: str | Path, apart: bool = False, hidden: Collection[str] = ()) -> Trials:
    """Open the stores at folders or object-store addresses. A place without files gives empty tables.

    Several are read as one sweep that ran in several places: a trial that more than one of them holds is one trial, by
    the rule that holds within a store, and so is a point. With `apart` each store keeps its own: results of the same
    trial stand beside each other, told apart by `store`, under labels that hold for all; `Trials.of` takes one.
    Labels do not name a setting in `hidden`: results that differ in nothing else share a curve (`analysis.select`).

    Columns that a store was written before are filled as `orchestrator.store.schema.AS_BEFORE` says, else null. Raises
    BadInput naming file and column where a file's columns are not those of its table.
    """
    names = tuple(map(str, locations))
    if not names or len(set(names)) < len(names):
        raise BadInput(f"expected one or more stores, each once, got {', '.join(names) or 'none'}")
    stores = {name: Store(name) for name in names}
    faults = [fault for store in stores.values() for table in TABLES for fault in _faults(store, table)]
    if faults:
        raise BadInput(f"not the columns of a store. {'; '.join(faults)}")
    key = ["store", "trial_id"] if apart else ["trial_id"]
    trials = winners(_joined(stores, "trials"), key)
    constant = _constant(stores)
    points = _points(stores, constant)
    attempts = trials.select("store", "trial_id", "attempt_id")
    return Trials(
        stores=names,
        trials=trials,
        **{name: _children(_joined(stores, name), attempts, len(stores) > 1) for name in CHILDREN},
        points=_each_once(points, [*key, *_CONFIG], _SEEDS),
        results=_results(points, trials, key, constant, hidden),
    )


def sweep_names(*locations: str | Path) -> pl.LazyFrame:
    """The names of the sweeps in some stores, sorted, in the column `sweep`."""
    return pl.concat([scan_points(Store(one)) for one in locations]).select("sweep").unique().sort("sweep")


def _faults(store: Store, table: str) -> list[str]:
    return schema_faults(store, table, most_files=CHECKED_FILES)


def _joined(stores: Mapping[str, Store], table: str) -> pl.LazyFrame:
    return pl.concat([scan_table(store, table).with_columns(store=pl.lit(name)) for name, store in stores.items()])


def _constant(stores: Mapping[str, Store]) -> dict[str, Any]:
    """Configuration columns that have one value in every point of every store, and that value."""
    first, *others = [found for store in stores.values() if (found := constant_columns(store, "points"))] or [{}]
    return {
        name: value
        for name, value in first.items()
        if name in _CONFIG and all(name in other and other[name] == value for other in others)
    }


def _points(stores: Mapping[str, Store], constant: Mapping[str, Any]) -> pl.LazyFrame:
    points = _joined(stores, "points").drop("sweep", "sweep_hash")
    types = points.collect_schema()
    # a literal needs neither reading nor memory
    return points.with_columns(pl.lit(value, dtype=types[name]).alias(name) for name, value in constant.items())


def _each_once(rows: pl.LazyFrame, columns: list[str], order: list[str]) -> pl.LazyFrame:
    """Rows that differ in `columns`, of which `trial_id` must be one: of equal ones the first by `order`.

    Most trials answer one point: only the others are compared, which takes a tenth of the time.
    """
    marked = rows.with_columns(pl.col("trial_id").hash().is_duplicated().alias(_SHARED))
    several = marked.filter(pl.col(_SHARED)).sort(order).unique(columns, keep="first", maintain_order=True)
    return pl.concat([marked.filter(~pl.col(_SHARED)), several]).drop(_SHARED)


def _children(rows: pl.LazyFrame, attempts: pl.LazyFrame, are_several: bool) -> pl.LazyFrame:
    key = ["trial_id", "attempt_id"]
    return rows.join(attempts, on=["store", *key] if are_several else key, how="semi")


def _results(
    points: pl.LazyFrame, trials: pl.LazyFrame, key: list[str], constant: Mapping[str, Any], hidden: Collection[str]
) -> pl.LazyFrame:
    status = pl.col("status").fill_null("missing")
    diverged = (status == "completed") & ~pl.col("final_test_loss").is_finite().fill_null(False)
    asked = points if "store" in key else points.drop("store")
    observed = labelled(asked, constant=constant, hidden=hidden)
    return (
        # seeds can fold too (a dense trial prunes nothing, so its prune seed cannot matter): a trial is one observation
        _each_once(observed, [*key, *PANEL, "curve", "density", *hidden], _SEEDS)
        .join(trials.drop(_CONFIG), on=key, how="left")
        .with_columns(status=status, outcome=pl.when(diverged).then(pl.lit("diverged")).otherwise(status))
        .sort(*PANEL, "curve", "density", *_SEEDS, "trial_id")
    )
