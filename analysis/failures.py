"""What went wrong? Failed trials by error, so that one cause is one line however many trials it hit."""

from __future__ import annotations

import polars as pl


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Failed trials by error type and message, the most frequent first, with one trial to look at.

    `num_trials` counts a trial once, under however many curves it stands; `curves` names these, sorted.
    """
    return (
        results.filter(pl.col("status") == "failed")
        .group_by("error_type", "error_message")
        .agg(
            pl.col("trial_id").n_unique().cast(pl.Int64).alias("num_trials"),
            pl.col("curve").unique().sort().alias("curves"),
            pl.col("trial_id").min().alias("example_trial_id"),
        )
        .sort(pl.col("num_trials"), "error_type", "error_message", descending=[True, False, False])
    )
