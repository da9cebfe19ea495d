"""How far is the sweep? Points, the trials that answer them, and what became of these."""

from __future__ import annotations

import polars as pl

from analysis.scan import Trials
from analysis.trial_key import trial_key


def table(store: Trials) -> pl.LazyFrame:
    """One row of counts, each trial once, and once in each store of several that are scanned apart.

    `num_folded` points share their trial with another point. `num_completed` includes `num_diverged` and
    `num_collapsed`; completed, failed and missing add up to `num_trials`. Beside them `num_kept_apart` trials are
    completed and answer no point: of settings that are no longer asked for, or of another numerics version.
    """
    each = (
        store.results.select(trial_key(), "status", "outcome", "collapsed_layers")
        .unique("trial", keep="any")
        .select(
            pl.len().cast(pl.Int64).alias("num_trials"),
            *(
                (pl.col("status") == status).sum().cast(pl.Int64).alias(f"num_{status}")
                for status in ("completed", "failed", "missing")
            ),
            (pl.col("outcome") == "diverged").sum().cast(pl.Int64).alias("num_diverged"),
            (pl.col("collapsed_layers") > 0).sum().cast(pl.Int64).alias("num_collapsed"),
        )
    )
    points = store.points.select(pl.len().cast(pl.Int64).alias("num_points"))
    # of these every completed trial of the grid is one
    in_store = store.trials.select((pl.col("status") == "completed").sum().cast(pl.Int64).alias("num_in_store"))
    return (
        pl.concat([points, each, in_store], how="horizontal")
        .with_columns(
            num_kept_apart=pl.col("num_in_store") - pl.col("num_completed"),
            num_folded=pl.col("num_points") - pl.col("num_trials"),
        )
        .drop("num_in_store")
    )
