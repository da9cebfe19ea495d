"""How far is the sweep? Points, the trials that answer them, and what became of these."""

from __future__ import annotations

import polars as pl

from analysis.scan import Trials


def table(store: Trials) -> pl.LazyFrame:
    """One row of counts, each trial once, and once in each store of several that are scanned apart.

    `num_folded` points share their trial with another point. `num_completed` includes `num_diverged` and
    `num_collapsed`; completed, failed and missing add up to `num_trials`. Beside them `num_kept_apart` trials are
    completed and answer no point: of settings that are no longer asked for, or of another numerics version.
    """
    each = store.results.unique(["store", "trial_id"], keep="any").select(
        pl.len().cast(pl.Int64).alias("num_trials"),
        *(
            (pl.col("status") == status).sum().cast(pl.Int64).alias(f"num_{status}")
            for status in ("completed", "failed", "missing")
        ),
        (pl.col("outcome") == "diverged").sum().cast(pl.Int64).alias("num_diverged"),
        (pl.col("collapsed_layers") > 0).sum().cast(pl.Int64).alias("num_collapsed"),
    )
    points = store.points.select(pl.len().cast(pl.Int64).alias("num_points"))
    completed = store.trials.filter(pl.col("status") == "completed")
    apart = completed.join(store.points, on=store.key, how="anti").select(
        pl.len().cast(pl.Int64).alias("num_kept_apart")
    )
    return pl.concat([points, each, apart], how="horizontal").with_columns(
        num_folded=pl.col("num_points") - pl.col("num_trials")
    )
