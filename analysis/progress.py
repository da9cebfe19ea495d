"""How far is the sweep? Points, the trials that answer them, and what became of these."""

from __future__ import annotations

import polars as pl

from analysis.scan import Trials
from orchestrator.store.schema import CONFIG_COLUMNS


def table(store: Trials) -> pl.LazyFrame:
    """One row of counts, each trial once.

    `num_folded` points share their trial with another point. `num_completed` includes `num_diverged` and
    `num_collapsed`; completed, failed and missing add up to `num_trials`. `num_repeated` points are answered by several
    trials, which happens when code that a sweep uses changed between two versions of its file.
    """
    each = store.results.unique("trial_id", keep="any").select(
        pl.len().cast(pl.Int64).alias("num_trials"),
        *(
            (pl.col("status") == status).sum().cast(pl.Int64).alias(f"num_{status}")
            for status in ("completed", "failed", "missing")
        ),
        (pl.col("outcome") == "diverged").sum().cast(pl.Int64).alias("num_diverged"),
        (pl.col("collapsed_layers") > 0).sum().cast(pl.Int64).alias("num_collapsed"),
    )
    points = store.points.select(pl.len().cast(pl.Int64).alias("num_points"))
    repeated = (
        store.points.group_by([name for name, _ in CONFIG_COLUMNS])
        .agg(pl.len().alias("answers"))
        .select((pl.col("answers") > 1).sum().cast(pl.Int64).alias("num_repeated"))
    )
    return pl.concat([points, each, repeated], how="horizontal").with_columns(
        num_folded=pl.col("num_points") - pl.col("num_trials")
    )
