"""Read a store: every table lazily, one row a trial however often it was attempted.

Two runners, a killed driver or a retried cohort can leave several rows of one trial. Which one counts is a pure
function of the rows: completed beats failed; among completed the smallest attempt_id, among failed the highest attempt
(then the smallest attempt_id). Clocks play no part. Child rows of other attempts are not seen.
"""

from __future__ import annotations

import polars as pl

from orchestrator.store.files import problem_of
from orchestrator.store.layout import Store
from orchestrator.store.merges import KEYS, LiveFiles, live_files
from orchestrator.store.schema import TABLES

BEFORE_LEVELS = {"level": 1, "pre_epochs": 0, "levels": 1, "rewind": "none", "rewind_step": 0, "fine_tune_epochs": 0}
"""What rows say that were written before these columns existed: every network was pruned once, as initialised."""


def scan_table(store: Store, table: str) -> pl.LazyFrame:
    """All rows of a table as written, attempts and all; an empty frame with the right columns where there are none.

    Columns that a row was written before are null, except those in `BEFORE_LEVELS`.
    """
    known = [pl.col(name).fill_null(value) for name, value in BEFORE_LEVELS.items() if name in TABLES[table].names]
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
    """One row a trial: the attempt that counts."""
    return winners(scan_table(store, "trials"))


def winners(attempts: pl.LazyFrame) -> pl.LazyFrame:
    """Of rows of `trials`, the one of each trial that counts. More rows may replace it, and never bring one back."""
    completed = pl.col("status") == "completed"
    return attempts.sort(
        "trial_id",
        ~completed,
        pl.when(completed).then(0).otherwise(-pl.col("attempt")),
        "attempt_id",
    ).unique("trial_id", keep="first", maintain_order=True)


def scan_children(store: Store, table: str) -> pl.LazyFrame:
    """Rows of `epochs`, `layers`, `rounds` or `masks` that belong to the attempts that count."""
    winners = scan_trials(store).select("trial_id", "attempt_id")
    return scan_table(store, table).join(winners, on=["trial_id", "attempt_id"], how="semi")


def scan_points(store: Store) -> pl.LazyFrame:
    """The grids of all sweeps in the store, one row a point of a sweep file."""
    return scan_table(store, "points")
