"""One table of everything: a row for each point and the trial that answers it, for other tools."""

from __future__ import annotations

import polars as pl

from analysis.labels import PANEL
from orchestrator.store.schema import CONFIG_COLUMNS, TRIALS

CONFIGURATION = [name for name, _ in CONFIG_COLUMNS]
OUTCOME = ["outcome", "error_type", "error_message"]
MEASURED = [
    name
    for name in TRIALS.names
    if name not in {*CONFIGURATION, *OUTCOME, "trial_id", "attempt_id", "attempt", "status", "error_traceback"}
]
COLUMNS = [
    *PANEL, "curve", "density", "sparsity", "compression_ratio", "seed_init", "seed_data", "seed_prune",
    *OUTCOME, *MEASURED,
    *(name for name in CONFIGURATION if name != "density" and not name.startswith("seed_")),
    "trial_id", "attempt_id", "store",
]  # fmt: skip
"""In order: what it is, what became of it, what was measured, how it was configured, where it is from."""


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """`results` with sparsity and compression beside density, in the order of `COLUMNS`; nothing is left out of it.

    Sorted by labels, density and seeds. Failed, diverged and missing trials have their rows: filter by `outcome`.
    """
    density = pl.col("density")
    return results.with_columns(sparsity=1 - density, compression_ratio=1 / density).select(COLUMNS)


def flat(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows as CSV and JSON can hold them: lists as their items with spaces between, bytes as hexadecimal digits."""
    words = []
    for name, kind in rows.collect_schema().items():
        if isinstance(kind, pl.List):
            words.append(pl.col(name).cast(pl.List(pl.String)).list.join(" "))
        elif kind == pl.Binary:
            words.append(pl.col(name).bin.encode("hex"))
    return rows.with_columns(words)
