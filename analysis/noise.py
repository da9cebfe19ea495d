"""How much accuracy noise does the size of the test set mean?

An accuracy p measured on n images has a standard error of sqrt(p (1 - p) / n), largest at p = 1/2. All runs of a sweep
see the same images, so this noise is not in the intervals over seeds: a larger test set could move all curves together.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis.labels import PANEL


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Test images, mean dense accuracy (null without a dense trial) and standard errors, all fractions, by panel."""
    images, accuracy = pl.col("num_test_images"), pl.col("dense_accuracy")
    dense = (
        results.filter((pl.col("density") == 1) & (pl.col("outcome") == "completed"))
        .unique([*PANEL, "trial_id"])  # under every pruner's curve it is one trial
        .group_by(PANEL)
        .agg(pl.col("final_test_accuracy").mean().alias("dense_accuracy"))
    )
    return (
        results.group_by(PANEL)
        .agg(images.max())
        .filter(images.is_not_null())
        .join(dense, on=PANEL, how="left")
        .with_columns(
            worst_error=(0.25 / images).sqrt(),
            dense_error=(accuracy * (1 - accuracy) / images).sqrt(),
        )
        .sort(PANEL)
    )


def sentence(row: dict[str, Any]) -> str:
    """One row of the collected `table` in words, errors in percentage points."""
    worst = f"{100 * row['worst_error']:.1f}"
    text = (
        f"{row['model_label']} on {row['dataset_label']}: an accuracy measured on {row['num_test_images']:,} test "
        f"images has a standard error of {worst} points at worst (at 50 % accuracy)"
    )
    if row["dense_accuracy"] is not None:
        text += (
            f" and of {100 * row['dense_error']:.1f} points at the dense network's {100 * row['dense_accuracy']:.1f} %"
        )
    return text + "."
