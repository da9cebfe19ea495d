"""What went wrong? Failed trials by cause, so that one cause is one line however many trials it hit."""

from __future__ import annotations

import polars as pl

from analysis.trial_key import trial_key

NUMBERS = r"0x[0-9a-fA-F]+|\d+(\.\d+)*"
"""What may differ between two messages of one cause: sizes, steps, addresses."""


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Failed trials by error type and message, the most frequent first, with one trial to look at.

    Messages that differ in numbers alone are one cause; `error_message` is the example's, one of
    `num_messages`. `num_trials` counts a trial once, under however many curves it stands; `curves` names these,
    sorted. `num_attempts` is how often these trials were tried.
    """
    return (
        results.filter(pl.col("status") == "failed")
        .select("trial_id", trial_key(), "curve", "error_type", "error_message", "attempt")
        .group_by("error_type", pl.col("error_message").str.replace_all(NUMBERS, "0").alias("cause"))
        .agg(
            pl.col("error_message").sort_by("trial_id").first(),
            pl.col("trial").n_unique().cast(pl.Int64).alias("num_trials"),
            pl.col("curve").unique().sort().alias("curves"),
            pl.col("trial_id").min().alias("example_trial_id"),
            pl.col("attempt").filter(pl.col("trial").is_first_distinct()).sum().alias("num_attempts"),
            pl.col("error_message").n_unique().cast(pl.Int64).alias("num_messages"),
        )
        .drop("cause")
        .sort(pl.col("num_trials"), "error_type", "error_message", descending=[True, False, False])
    )
