"""Open a store for analysis: its tables, and `results`, where every point of a grid meets its trial.

`results` has one row for each trial and curve. Configuration columns are the point's, as it was asked for, so the dense
trial that all pruners share stands under each of them; measured columns are the trial's. Label columns say in words
what is plotted as one panel or one curve, naming only the settings that tell several of a kind apart.

Everything is lazy: nothing is read before a summary is collected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from orchestrator.store.layout import Store
from orchestrator.store.read import scan_children, scan_points, scan_trials
from orchestrator.store.schema import CONFIG_COLUMNS

PANEL = ["dataset_label", "model_label", "training_label"]
"""What is drawn in one panel: results that only pruner, density and seed tell apart."""

_IS_TICKET = pl.col("pruner") == "imp"
"""Whose usual way it is to train first and to rewind the weights."""

LONGEST_STOP = 6
"""Characters of a density in the label of a schedule with many."""

_CONFIG = [name for name, _ in CONFIG_COLUMNS]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """A store's tables, one row a trial however often it was attempted."""

    trials: pl.LazyFrame
    epochs: pl.LazyFrame
    layers: pl.LazyFrame
    rounds: pl.LazyFrame
    masks: pl.LazyFrame
    """Empty unless the sweep asked for masks."""
    points: pl.LazyFrame
    """The grids of all sweeps, each point once."""
    results: pl.LazyFrame
    """Points joined to their trials: configuration, `dataset_label`, `model_label`, `training_label`, `curve`, the
    columns of `trials`, and `outcome`: "completed"; "diverged" (completed, but the final test loss is not a finite
    number); "failed"; "missing" (not in the store yet)."""


def scan(location: str | Path) -> Trials:
    """Open the store at a folder or an object-store address. A place without files gives empty tables."""
    store = Store(location)
    trials = scan_trials(store)
    points = scan_points(store).unique(["trial_id", *_CONFIG], keep="any").drop("sweep", "sweep_hash")
    return Trials(
        trials=trials,
        epochs=scan_children(store, "epochs"),
        layers=scan_children(store, "layers"),
        rounds=scan_children(store, "rounds"),
        masks=scan_children(store, "masks"),
        points=points,
        results=_results(points, trials),
    )


def sweep_names(location: str | Path) -> pl.LazyFrame:
    """The names of the sweeps in a store, sorted, in the column `sweep`."""
    return scan_points(Store(location)).select("sweep").unique().sort("sweep")


def _results(points: pl.LazyFrame, trials: pl.LazyFrame) -> pl.LazyFrame:
    status = pl.col("status").fill_null("missing")
    diverged = (status == "completed") & ~pl.col("final_test_loss").is_finite().fill_null(False)
    return (
        _labelled(points)
        # seeds can fold too (a dense trial prunes nothing, so its prune seed cannot matter): a trial is one observation
        .unique([*PANEL, "curve", "density", "trial_id"], keep="first", maintain_order=True)
        .join(trials.drop(_CONFIG), on="trial_id", how="left", maintain_order="left")
        .with_columns(status=status, outcome=pl.when(diverged).then(pl.lit("diverged")).otherwise(status))
    )


def _labelled(points: pl.LazyFrame) -> pl.LazyFrame:
    """Points with their label columns, in a fixed order."""
    named = ["dataset", "dataset_options", "validation", "model", "model_options"]
    labels = [
        _labels(
            points,
            "dataset_label",
            kind=["dataset"],
            settings={
                "dataset_options": _options("dataset_options"),
                "validation": pl.lit("validation ") + pl.col("validation"),
            },
        ),
        _labels(points, "model_label", kind=["model"], settings={"model_options": _options("model_options")}),
        _labels(
            points,
            "curve",
            kind=["pruner"],
            settings={
                "iterations": _counted("iterations", "round"),
                "schedule": _schedule(),
                "scope": _options("scope"),
                "mode": _text("mode", " mode"),
                "score_dtype": pl.col("score_dtype"),
                "prunable": pl.col("prunable").str.replace_all(",", ", ").add(pl.lit(" prunable")),
                "ablation": pl.when(pl.col("ablation") == "none")
                .then(pl.lit("as scored"))
                .otherwise(pl.col("ablation")),
                "examples_per_class": _text("examples_per_class", " examples per class"),
                "pre_epochs": pl.when(pl.col("pre_epochs") == 0)
                .then(pl.lit("at initialisation"))
                .otherwise(pl.lit("after ") + _counted("pre_epochs", "epoch")),
                # spelled-out densities tell how many levels there are
                "levels": pl.when(~_is_spelled_out()).then(_counted("levels", "level")),
                "rewind": pl.when(pl.col("rewind") == "none")
                .then(pl.lit("not rewound"))
                .otherwise(pl.col("rewind") + pl.lit(" rewound")),
                "rewind_step": pl.lit("to step ") + _text("rewind_step"),
                "fine_tune_epochs": pl.when(pl.col("fine_tune_epochs") == 0)
                .then(pl.lit("to the recipe's end"))
                .otherwise(_counted("fine_tune_epochs", "epoch") + pl.lit(" of fine-tuning")),
                "pruner_options": _options("pruner_options"),
            },
            # beside pruners at initialisation it must be said of one that is not, though it always is
            unusual={
                "pre_epochs": (pl.col("pre_epochs") > 0) & ~_IS_TICKET,
                "rewind": pl.col("rewind") != pl.when(_IS_TICKET).then(pl.lit("weights")).otherwise(pl.lit("none")),
            },
        ),
        # compared within a model on a data set: that each model has a learning rate of its own needs no label
        _labels(
            points,
            "training_label",
            kind=named,
            head=False,
            settings={
                "epochs": _counted("epochs", "epoch"),
                "optimizer": pl.col("optimizer"),
                "lr": pl.lit("lr ") + _text("lr"),
                "momentum": pl.lit("momentum ") + _text("momentum"),
                "nesterov": pl.when(pl.col("nesterov")).then(pl.lit("Nesterov")).otherwise(pl.lit("heavy ball")),
                "beta1": pl.lit("beta1 ") + _text("beta1"),
                "beta2": pl.lit("beta2 ") + _text("beta2"),
                "epsilon": pl.lit("epsilon ") + _text("epsilon"),
                "rmsprop_alpha": pl.lit("alpha ") + _text("rmsprop_alpha"),
                "weight_decay": pl.lit("weight decay ") + _text("weight_decay"),
                "weight_decay_on": pl.lit("weight decay on ") + pl.col("weight_decay_on"),
                "batch_size": pl.lit("batch ") + _text("batch_size"),
                "lr_schedule": pl.col("lr_schedule") + pl.lit(" schedule"),
                "lr_drops": pl.lit("lr drops at ") + pl.col("lr_drops"),
                "lr_drop_factor": pl.lit("lr drop factor ") + _text("lr_drop_factor"),
                "warmup_epochs": _text("warmup_epochs", " warm-up epochs"),
                "label_smoothing": pl.lit("label smoothing ") + _text("label_smoothing"),
                "clip_grad_norm": pl.lit("gradient norm at most ") + _text("clip_grad_norm"),
                "precision": pl.col("precision"),
                "augment": pl.when(pl.col("augment")).then(pl.lit("augmented")).otherwise(pl.lit("not augmented")),
            },
        ),
    ]
    for columns, table in labels:
        points = points.join(table, on=columns, how="left", nulls_equal=True)
    return points.sort(*PANEL, "curve", "density", "seed_init", "seed_data", "seed_prune", "trial_id")


def _labels(
    points: pl.LazyFrame,
    label: str,
    *,
    kind: list[str],
    settings: Mapping[str, pl.Expr],
    head: bool = True,
    unusual: Mapping[str, pl.Expr] | None = None,
) -> tuple[list[str], pl.LazyFrame]:
    """The label of each combination of settings, and the columns to join it on.

    A setting is spelled out only if it varies within its kind or is `unusual`. Computed on the few distinct
    combinations of settings, not on the many points.
    """
    columns = [*kind, *settings]
    varying = [
        pl.when((pl.col(column).n_unique().over(kind) > 1) | (unusual or {}).get(column, pl.lit(False))).then(text)
        for column, text in settings.items()
    ]
    parts = [pl.col(kind[0]), *varying] if head else varying
    distinct = (
        points.select(columns)
        .unique()
        .with_columns(pl.concat_str(parts, separator=", ", ignore_nulls=True).alias(label))
    )
    options = pl.col(columns[-1])
    # readable options can coincide ("1" and 1): two curves under one name would be averaged, so such get the JSON
    ambiguous = pl.len().over(*kind, label) > 1
    return columns, distinct.with_columns(
        pl.when(ambiguous)
        .then(pl.concat_str([label, options], separator=" ", ignore_nulls=True))
        .otherwise(label)
        .alias(label)
    )


def _text(column: str, unit: str = "") -> pl.Expr:
    return pl.col(column).cast(pl.String) + pl.lit(unit)


def _is_spelled_out() -> pl.Expr:
    return pl.col("schedule").str.contains(r"^[0-9.,]+$")


def _schedule() -> pl.Expr:
    """A schedule's name, or its densities: of more than three the first two and the last, unless that fits another."""
    stops = pl.col("schedule").str.split(",")
    words = [stops.list.get(place, null_on_oob=True).str.slice(0, LONGEST_STOP) for place in (0, 1, -1)]
    short = pl.concat_str([words[0], words[1], pl.lit("…"), words[2]], separator=" ")
    is_one_of_a_kind = pl.col("schedule").n_unique().over(pl.col("pruner"), short) == 1
    text = pl.when((stops.list.len() > 3) & is_one_of_a_kind).then(short).otherwise(pl.col("schedule"))
    return pl.when(_is_spelled_out()).then(pl.lit("densities ") + text.str.replace_all(",", " ")).otherwise(text)


def _counted(column: str, unit: str) -> pl.Expr:
    return _text(column, f" {unit}") + pl.when(pl.col(column) == 1).then(pl.lit("")).otherwise(pl.lit("s"))


def _options(column: str) -> pl.Expr:
    """Options in words: {"depth":3,"width":64} reads "depth 3, width 64"."""
    words = (
        pl.col(column)
        .str.strip_prefix("{")
        .str.strip_suffix("}")
        .str.replace_all('"', "", literal=True)
        .str.replace_all(":", " ", literal=True)
        .str.replace_all(",", ", ", literal=True)
    )
    return pl.when(pl.col(column) == "{}").then(pl.lit("default options")).otherwise(words)
