"""Open stores for analysis: their tables, and `results`, where every point of a grid meets its trial.

`results` has one row for each trial and curve. Configuration columns are the point's, as it was asked for, so the dense
trial that all pruners share stands under each of them; measured columns are the trial's. Label columns say in words
what is plotted as one panel or one curve, naming only the settings that tell several of a kind apart.

Everything is lazy: no row is read before a summary is collected. Of the files, `scan` looks at footers only, to say
which of them is no part of a store, and to leave out of the work what is the same in every row.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

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
UNSUMMARISED = (
    *("density_literal", "attempt_id", "error_traceback", "output", "data_hash", "engine_fallback"),
    *("num_train_images", "kept_weights", "live_weights", "dense_macs", "best_test_accuracy", "best_epoch"),
    *("final_train_loss", "final_test_top5"),
)
"""Columns of `results` that no summary reads, and that `Trials.gathered` leaves out: each is tens of megabytes."""

_CONFIG = [name for name, _ in CONFIG_COLUMNS]
_POINT = ["store", "trial_id", *_CONFIG]
_SEEDS = ["seed_init", "seed_data", "seed_prune"]
_SHARED = "answers_several_points"
_ATTEMPT = "hash_of_attempt"


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The tables of one or several stores, one row a trial however often it was attempted.

    Every table has a column `store`: the location, as it was given, that a row is from.
    """

    stores: tuple[str, ...]
    key: list[str]
    """What tells trials apart: `trial_id`, and where stores were opened apart also `store`."""
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
    columns of `trials`, and `outcome`: "completed"; "diverged" (completed, but the final test loss or accuracy is
    not a finite number); "failed"; "missing" (not in the store yet). Sorted by labels, density and seeds."""

    asked: pl.LazyFrame
    """The part of `results` that points and labels make: a row for each trial and curve, sorted."""
    constant: Mapping[str, pl.Expr]
    """Settings that every point has alike, as literals."""
    written: Mapping[str, pl.LazyFrame]
    """The tables of `CHILDREN` as they were written, with rows of attempts that do not count."""

    def gathered(self) -> Trials:
        """The same with `results` in memory: what ten summaries read is then worked out once, not ten times.

        `results` has not the columns of `UNSUMMARISED`, and child tables only the rows of trials in `results`. What is
        `constant` is not kept in memory, and what trials measured is put into place column by column: a join would hold
        all of it twice.
        """
        asked = self.asked.drop(*UNSUMMARISED, *self.constant, strict=False).collect()
        identity = _attempt(self.stores)
        measured = [name for name in _measured(self.key) if name not in UNSUMMARISED]
        trials = self.trials.select(*self.key, *measured, identity).collect()
        place = _places(asked.select(self.key), trials.select(self.key))
        attempts = trials.select(pl.col(_ATTEMPT).gather(place.drop_nulls().unique())).lazy()
        columns = []
        for name in measured:
            columns.append(trials[name].gather(place))
            trials.drop_in_place(name)
        names = [name for name in self.asked.collect_schema() if name not in UNSUMMARISED]
        lean = asked.lazy().with_columns(self.constant.values()).select(names)
        epochs, layers, rounds, masks = (_counted(self.written[name], attempts, identity) for name in CHILDREN)
        return replace(
            self,
            asked=lean,
            results=_judged(
                asked.hstack(columns).lazy().with_columns(self.constant.values()).select(*names, *measured)
            ),
            epochs=epochs,
            layers=layers,
            rounds=rounds,
            masks=masks,
        )

    def of(self, store: str) -> Trials:
        """What is of one store, with the labels that it has beside the others. Raises BadInput for an unknown one."""
        if store not in self.stores:
            raise BadInput(f"{store!r} was not opened, {did_you_mean(store, self.stores)}")

        def part(rows: pl.LazyFrame) -> pl.LazyFrame:
            return rows.filter(pl.col("store") == store)

        return replace(
            self,
            stores=(store,),
            trials=part(self.trials),
            epochs=part(self.epochs),
            layers=part(self.layers),
            rounds=part(self.rounds),
            masks=part(self.masks),
            points=part(self.points),
            asked=part(self.asked) if "store" in self.key else self.asked,
            results=part(self.results),
            written={name: part(rows) for name, rows in self.written.items()},
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
    varying = [name for name in _CONFIG if name not in constant]
    points = _joined(stores, "points").select("store", "trial_id", *varying)
    identity = _attempt(names)
    attempts = trials.select(identity)
    written = {name: _joined(stores, name) for name in CHILDREN}
    asked = _asked(points, key, constant, hidden)
    return Trials(
        stores=names,
        key=key,
        trials=trials,
        written=written,
        epochs=_counted(written["epochs"], attempts, identity),
        layers=_counted(written["layers"], attempts, identity),
        rounds=_counted(written["rounds"], attempts, identity),
        masks=_counted(written["masks"], attempts, identity),
        points=_each_once(points, [*key, *varying], []).with_columns(constant.values()).select(*_POINT),
        asked=asked,
        constant=constant,
        results=_judged(_answered(asked, trials, key, _measured(key))),
    )


def sweep_names(*locations: str | Path) -> pl.LazyFrame:
    """The names of the sweeps in some stores, sorted, in the column `sweep`."""
    return pl.concat([scan_points(Store(one)) for one in locations]).select("sweep").unique().sort("sweep")


def _faults(store: Store, table: str) -> list[str]:
    return schema_faults(store, table, most_files=CHECKED_FILES)


def _joined(stores: Mapping[str, Store], table: str) -> pl.LazyFrame:
    return pl.concat([scan_table(store, table).with_columns(store=pl.lit(name)) for name, store in stores.items()])


def _constant(stores: Mapping[str, Store]) -> dict[str, pl.Expr]:
    """Configuration columns that have one value in every point of every store, as literals of that value."""
    types = pl.DataFrame(pl.from_arrow(TABLES["points"].empty_table())).schema
    first, *others = [found for store in stores.values() if (found := constant_columns(store, "points"))] or [{}]
    return {
        name: pl.lit(value, dtype=types[name]).alias(name)
        for name, value in first.items()
        if name in _CONFIG and all(name in other and other[name] == value for other in others)
    }


def _each_once(rows: pl.LazyFrame, columns: list[str], order: list[str]) -> pl.LazyFrame:
    """Rows that differ in `columns`, of which `trial_id` must be one: of equal ones the first by `order`.

    Most trials answer one point: only the others are compared, which takes a tenth of the time.
    """
    marked = rows.with_columns(pl.col("trial_id").hash().is_duplicated().alias(_SHARED))
    several = marked.filter(pl.col(_SHARED)).sort(*order, "trial_id").unique(columns, keep="first", maintain_order=True)
    return pl.concat([marked.filter(~pl.col(_SHARED)), several]).drop(_SHARED)


def _attempt(stores: tuple[str, ...]) -> pl.Expr:
    """What attempts are compared by: a hash of 64 bits, half the time and a tenth of the memory of the ids' text.

    That one of 10^5 attempts that do not count is taken for one of 10^6 that do has a chance of 10^-8.
    """
    key = ["trial_id", "attempt_id", "store"][: 2 if len(stores) == 1 else 3]
    return reduce(operator.xor, (pl.col(name).hash(seed) for seed, name in enumerate(key))).alias(_ATTEMPT)


def _counted(rows: pl.LazyFrame, attempts: pl.LazyFrame, identity: pl.Expr) -> pl.LazyFrame:
    """Rows of a child table that belong to `attempts` that count: `identity` of theirs."""
    return rows.with_columns(identity).join(attempts, on=_ATTEMPT, how="semi").drop(_ATTEMPT)


def _measured(key: list[str]) -> list[str]:
    """Columns of `trials` that `results` takes from it: the configuration is the point's."""
    return [name for name in ("store", *TABLES["trials"].names) if name not in {*_CONFIG, *key}]


def _asked(
    points: pl.LazyFrame, key: list[str], constant: Mapping[str, pl.Expr], hidden: Collection[str]
) -> pl.LazyFrame:
    """A row for each trial and curve: `key`, configuration, labels. `points` has no column that is in `constant`."""

    def varying(*columns: str) -> list[str]:
        return [name for name in columns if name not in constant]

    named = labelled(points if "store" in key else points.drop("store"), constant=constant, hidden=hidden)
    curve = [*PANEL, "curve", *varying("density")]
    # seeds can fold too (a dense trial prunes nothing, so its prune seed cannot matter): a trial is one observation
    once = _each_once(named, [*key, *curve, *varying(*hidden)], varying(*_SEEDS)).sort(
        *curve, *varying(*_SEEDS), "trial_id"
    )
    return once.with_columns(constant.values()).select(*key, *_CONFIG, *PANEL, "curve")


def _answered(asked: pl.LazyFrame, trials: pl.LazyFrame, key: list[str], columns: Iterable[str]) -> pl.LazyFrame:
    """What is asked beside columns of the trial that answers it, nulls where there is none yet."""
    return asked.join(trials.select(*key, *columns), on=key, how="left", maintain_order="left")


def _places(asked: pl.DataFrame, trials: pl.DataFrame) -> pl.Series:
    """Which row of `trials` has the key of each row of `asked`, null where none has."""
    numbered = trials.with_row_index("row")
    return asked.join(numbered, on=asked.columns, how="left", maintain_order="left")["row"]


def _judged(results: pl.LazyFrame) -> pl.LazyFrame:
    status = pl.col("status").fill_null("missing")
    is_a_number = pl.col("final_test_loss").is_finite().fill_null(False) & ~pl.col("final_test_accuracy").is_nan()
    diverged = (status == "completed") & ~is_a_number.fill_null(False)
    return results.with_columns(status=status, outcome=pl.when(diverged).then(pl.lit("diverged")).otherwise(status))
