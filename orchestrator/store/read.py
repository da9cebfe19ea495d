"""Read a store: every table lazily, one row a trial however often it was attempted.

Two runners, a killed driver or a retried cohort can leave several rows of one trial. Which one counts is a pure
function of the rows: completed beats failed; among completed the smallest attempt_id, among failed the highest attempt
(then the smallest attempt_id). Clocks play no part. Child rows of other attempts are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from orchestrator.store.files import problem_of
from orchestrator.store.layout import Store
from orchestrator.store.merges import KEYS, LiveFiles, live_files
from orchestrator.store.schema import AS_BEFORE, TABLES

_AGAIN = "was_attempted_again"


def scan_table(store: Store, table: str) -> pl.LazyFrame:
    """All rows of a table as written, attempts and all; an empty frame with the right columns where there are none.

    Columns that a row was written before are null, except those in `schema.AS_BEFORE`.
    """
    known = [pl.col(name).fill_null(value) for name, value in AS_BEFORE.items() if name in TABLES[table].names]
    return _rows(store, table).with_columns(known)


def _rows(store: Store, table: str) -> pl.LazyFrame:
    return rows_in(store, table, live_files(store, table))


def rows_in(store: Store, table: str, live: LiveFiles) -> pl.LazyFrame:
    """All rows of some files of a table."""
    empty = pl.DataFrame(pl.from_arrow(TABLES[table].empty_table())).lazy()
    files = [store.path(table, name) for name in live.names]
    if not files:
        return empty
    if store.is_remote:
        import pyarrow.dataset as pads  # loads pandas where that is installed: only where it is needed

        dataset = pads.dataset(files, schema=TABLES[table], filesystem=store.filesystem, format="parquet")
        rows = pl.scan_pyarrow_dataset(dataset)
    else:
        rows = pl.scan_parquet(
            files,
            schema=empty.collect_schema(),
            missing_columns="insert",
            extra_columns="ignore",
            glob=False,  # a folder may have brackets in its name
        )
    return rows.unique(KEYS[table]) if live.may_repeat else rows


def damaged_files(store: Store) -> list[str]:
    """Files of the store's tables that are not what was published: cut by a full disk or an interrupted copy."""
    return [
        store.path(table, name)
        for table in TABLES
        for name in live_files(store, table).names
        if problem_of(store, table, name)
    ]


def scan_trials(store: Store) -> pl.LazyFrame:
    """One row a trial, in no particular order: the attempt that counts."""
    return winners(scan_table(store, "trials"))


def winners(attempts: pl.LazyFrame, key: Sequence[str] = ("trial_id",)) -> pl.LazyFrame:
    """Of rows of `trials`, the one of each trial that counts, in no particular order.

    More rows may replace it, and never bring one back. Only trials that were attempted more than once are sorted: few,
    and sorting all would cost as much as everything else a summary does. `key` may tell several stores apart.
    """
    completed = pl.col("status") == "completed"
    # hashes that coincide by chance send a trial through the sort, which decides by the ids themselves
    marked = attempts.with_columns(pl.col("trial_id").hash().is_duplicated().alias(_AGAIN))
    again = (
        marked.filter(pl.col(_AGAIN))
        .sort(
            *key,
            ~completed,
            pl.when(completed).then(0).otherwise(-pl.col("attempt")),
            "attempt_id",
        )
        .unique(key, keep="first", maintain_order=True)
    )
    return pl.concat([marked.filter(~pl.col(_AGAIN)), again]).drop(_AGAIN)


def scan_children(store: Store, table: str) -> pl.LazyFrame:
    """Rows of `epochs`, `layers`, `rounds` or `masks` that belong to the attempts that count."""
    winners = scan_trials(store).select("trial_id", "attempt_id")
    return scan_table(store, table).join(winners, on=["trial_id", "attempt_id"], how="semi")


def scan_points(store: Store) -> pl.LazyFrame:
    """The grids of all sweeps in the store, one row a point of a sweep file."""
    return scan_table(store, "points")
