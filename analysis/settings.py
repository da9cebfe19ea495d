"""What was run, and by what? The settings of the sweep and the versions and machines that the trials recorded."""

from __future__ import annotations

import polars as pl

SETTINGS = [
    "dataset", "dataset_options", "validation", "model", "model_options",
    "pruner", "pruner_options", "iterations", "schedule", "scope", "mode", "score_dtype", "prunable", "ablation",
    "examples_per_class",
    "pre_epochs", "levels", "rewind", "rewind_step", "fine_tune_epochs",
    "density_literal", "seed_init", "seed_data", "seed_prune",
    "epochs", "optimizer", "lr", "momentum", "nesterov", "beta1", "beta2", "epsilon", "rmsprop_alpha",
    "weight_decay", "weight_decay_on", "batch_size", "lr_schedule", "lr_drops", "lr_drop_factor", "warmup_epochs",
    "label_smoothing", "clip_grad_norm", "precision", "augment",
]  # fmt: skip
DEFAULTS = {
    "dataset_options": "{}", "validation": "own", "model_options": "{}", "pruner_options": "{}",
    "iterations": "1", "schedule": "exponential", "scope": "global", "mode": "eval", "score_dtype": "float32",
    "prunable": "weights", "ablation": "none", "examples_per_class": "10",
    "pre_epochs": "0", "levels": "1", "rewind": "none", "rewind_step": "0", "fine_tune_epochs": "0",
    "optimizer": "momentum", "momentum": "0.9", "nesterov": "true", "beta1": "0.9", "beta2": "0.999",
    "epsilon": "1e-8", "rmsprop_alpha": "0.99", "weight_decay": "0.0", "weight_decay_on": "all",
    "lr_schedule": "step", "lr_drops": "[]", "lr_drop_factor": "0.1", "warmup_epochs": "0.0",
    "label_smoothing": "0.0", "clip_grad_norm": "0.0", "precision": "float32", "augment": "false",
}  # fmt: skip
"""Settings as they are where a sweep file does not name them. A copy of `training.config`'s, which this room must not
import; a test compares the two. Learning rate and batch size are not here: a reader looks for them."""
ENVIRONMENT = [
    "prunesweep_version", "numerics_version", "torch_version", "python_version", "git_commit", "git_dirty",
    "device", "dtype", "engine", "threads", "host",
]  # fmt: skip


def table(points: pl.LazyFrame) -> pl.LazyFrame:
    """Each setting of the grid with its distinct values as text, in the order of the configuration."""
    return _values(points, SETTINGS)


def is_default(name: str, values: list[str]) -> bool:
    """Whether a row of `table` says that every trial has what a sweep file need not name."""
    return values == [DEFAULTS.get(name)]


def environment(results: pl.LazyFrame) -> pl.LazyFrame:
    """Each recorded property of code and machine with its distinct values as text; a null (outside git) is left out.

    Of the trials that answer the grid: what a store holds besides, from an earlier sweep file or code, is not in it.
    """
    return _values(results, ENVIRONMENT)


def _values(frame: pl.LazyFrame, columns: list[str]) -> pl.LazyFrame:
    """Columns `name`, `values` (sorted, as text) and `num_values`, one row a column of `frame`."""
    return (
        frame.select(pl.col(name).unique().drop_nulls().sort().cast(pl.String).implode() for name in columns)
        .unpivot(variable_name="name", value_name="values")
        .with_columns(pl.col("values").list.len().cast(pl.Int64).alias("num_values"))
    )
