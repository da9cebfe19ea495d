"""Choose a setting on validation, report its test accuracy: the learning rate each curve does best with, for example.

For each panel, curve and density the value of an axis with the best mean validation accuracy after the final epoch is
chosen, over all trials that completed; test accuracy plays no part. A diverged trial counts there with the accuracy it
ended with: left out, a rate at which most seeds diverge would be judged by the lucky ones. Of values that tie, the
smallest is chosen and the tie is said.

The axis "epoch" is chosen trial by trial: the epoch of its highest validation accuracy, at which training recorded the
test accuracy. Diverged trials stay out of the mean then too, whatever they had reached before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl

from analysis.labels import PANEL
from analysis.scan import Trials
from orchestrator.errors import BadInput, did_you_mean
from orchestrator.store.schema import CONFIG_COLUMNS

CELL = [*PANEL, "curve", "density"]
EPOCH = "epoch"
FIXED = (
    "dataset", "dataset_options", "dataset_source", "validation", "model", "model_source", "pruner", "pruner_source",
    "density", "density_literal", "seed_init", "seed_data", "seed_prune",
)  # fmt: skip
"""What is compared, or must not be chosen: a seed that does well on validation is luck."""
AXES = (EPOCH, *(name for name, _ in CONFIG_COLUMNS if name not in FIXED))
"""What can be chosen on validation."""
CHOICES = pl.Schema(
    {
        **dict.fromkeys((*PANEL, "curve"), pl.String),
        "density": pl.Float64,
        **dict.fromkeys(("axis", "chosen"), pl.String),
        "validation_accuracy": pl.Float64,
        **dict.fromkeys(("n", "num_values", "num_tied", "num_unvalidated"), pl.Int64),
    }
)
"""Columns of `table`."""


def hidden(axis: str | None) -> tuple[str, ...]:
    """What `scan` has to hide from labels so that values of an axis meet. Raises BadInput for an unknown axis."""
    if axis is None:
        return ()
    if axis not in AXES:
        reason = "is what is compared, or luck" if axis in FIXED else "is no setting"
        raise BadInput(f"cannot select {axis!r} on validation: it {reason}; {did_you_mean(axis, AXES)}")
    return () if axis == EPOCH else (axis,)


def needs(results: pl.LazyFrame, axis: str) -> pl.LazyFrame:
    """One row: what `refusal` goes by."""
    known = "selected_test_accuracy" if axis == EPOCH else "final_validation_accuracy"
    completed = pl.col("status") == "completed"
    return results.select(
        (pl.lit(None) if axis == EPOCH else pl.col(axis).n_unique()).cast(pl.Int64).alias("num_values"),
        completed.sum().cast(pl.Int64).alias("num_completed"),
        (completed & pl.col(known).is_null()).sum().cast(pl.Int64).alias("num_without"),
    )


def refusal(axis: str, needed: dict[str, Any]) -> str | None:
    """Why an axis cannot be selected, from the row of collected `needs`, and what to do; None where it can be."""
    if needed["num_without"]:
        return (
            f"--select {axis} goes by validation accuracy, and {needed['num_without']:,} of "
            f"{needed['num_completed']:,} completed trials have none: hold out images with `validation:` in the sweep "
            "file (a count such as 5000, or a fraction below 1) and run it"
        )
    if needed["num_values"] == 1:
        return f"--select {axis}: it has one value in this store, so there is nothing to select"
    return None


def table(results: pl.LazyFrame, axis: str | None) -> pl.LazyFrame:
    """What is chosen in each cell of results that were scanned with the axis `hidden`; no rows without an axis.

    `chosen` names the value; `validation_accuracy` is its mean over `n` trials, null where none completed (then the
    smallest value stands for all). `num_tied` of the `num_values` values reach that mean, itself included;
    `num_unvalidated` trials of all values failed or are missing. Of the axis "epoch", `chosen` is the range over trials
    and what follows `n` is null.
    """
    if axis is None:
        return pl.LazyFrame(schema=CHOICES)
    chosen = _of_epochs(results) if axis == EPOCH else _of_values(results, axis)
    return chosen.select(CHOICES.names()).cast(CHOICES).sort(*CELL, descending=[False] * 4 + [True])


def selected(store: Trials, axis: str | None) -> Trials:
    """A store, scanned with the axis `hidden`, whose results are those of the chosen values, with a column `chosen`.

    With the axis "epoch", `final_test_accuracy` becomes that of the selected epoch.
    """
    if axis is None:
        return store
    choices = _of_epochs(store.results) if axis == EPOCH else _of_values(store.results, axis)
    key = CELL if axis == EPOCH else [*CELL, axis]
    results = store.results.join(choices.select(*key, "chosen"), on=key, how="inner", maintain_order="left")
    if axis == EPOCH:
        results = results.with_columns(final_test_accuracy=pl.col("selected_test_accuracy"))
    return replace(store, results=results)


def _of_values(results: pl.LazyFrame, axis: str) -> pl.LazyFrame:
    completed = pl.col("status") == "completed"
    # a network whose outputs are not numbers is right about nothing
    validation = pl.when(completed).then(pl.col("final_validation_accuracy").fill_nan(0.0))
    mean = pl.col("validation_accuracy")
    # the same trials, added up in another order, are to tie
    best = mean.round_sig_figs(12).max().over(CELL)
    return (
        results.group_by(*CELL, axis)
        .agg(
            validation.mean().alias("validation_accuracy"),
            validation.count().cast(pl.Int64).alias("n"),
            (~completed).sum().cast(pl.Int64).alias("num_without"),
        )
        .with_columns(is_best=(mean.round_sig_figs(12) == best).fill_null(False))
        .sort(*CELL, "is_best", axis, descending=[False] * 5 + [True, False])
        .group_by(CELL, maintain_order=True)
        .agg(
            pl.first(axis, "validation_accuracy", "n"),
            pl.len().alias("num_values"),
            pl.col("is_best").sum().alias("num_tied"),
            pl.col("num_without").sum().alias("num_unvalidated"),
        )
        .with_columns(axis=pl.lit(axis), chosen=pl.format("{} {}", pl.lit(axis), pl.col(axis)))
    )


def _of_epochs(results: pl.LazyFrame) -> pl.LazyFrame:
    completed = pl.col("status") == "completed"
    epoch = pl.when(completed).then("selected_epoch")
    first, last = pl.col("first"), pl.col("last")
    return (
        results.group_by(CELL)
        .agg(
            epoch.min().alias("first"),
            epoch.max().alias("last"),
            epoch.count().alias("n"),
            (~completed).sum().alias("num_unvalidated"),
        )
        .with_columns(
            axis=pl.lit(EPOCH),
            chosen=pl.when(first == last)
            .then(pl.format("epoch {}", first))
            .otherwise(pl.format("epochs {} to {}", first, last)),
            validation_accuracy=pl.lit(None),
            num_values=pl.lit(None),
            num_tied=pl.lit(None),
        )
    )
