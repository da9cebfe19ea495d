"""Say in words what one panel and one curve show, naming only the settings that tell several of a kind apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import polars as pl

PANEL = ["dataset_label", "model_label", "training_label"]
"""What is drawn in one panel: results that only pruner, density and seed tell apart."""

_IS_TICKET = pl.col("pruner") == "imp"
"""Whose usual way it is to train first and to rewind the weights."""

LONGEST_STOP = 6
"""Characters of a density in the label of a schedule with many."""


def labelled(points: pl.LazyFrame, *, constant: Mapping[str, pl.Expr], hidden: Collection[str] = ()) -> pl.LazyFrame:
    """Points with their label columns, in no particular order.

    `constant` holds settings that `points` has no column for, all points having this value: to carry them along would
    cost more than all the rest. A setting in `hidden` is not named: its values share a label.
    """
    named = ["dataset", "dataset_options", "validation", "model", "model_options"]
    describe = partial(_labels, points, constant=constant, hidden=hidden)
    labels = [
        describe(
            "dataset_label",
            kind=["dataset"],
            settings={
                "dataset_options": _options("dataset_options"),
                "validation": pl.lit("validation ") + pl.col("validation"),
            },
        ),
        describe("model_label", kind=["model"], settings={"model_options": _options("model_options")}),
        describe(
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
        describe(
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
        points = (
            points.join(table, on=columns, how="left", nulls_equal=True) if columns else points.join(table, how="cross")
        )
    return points


def _labels(
    points: pl.LazyFrame,
    label: str,
    *,
    kind: list[str],
    settings: Mapping[str, pl.Expr],
    constant: Mapping[str, pl.Expr],
    hidden: Collection[str],
    head: bool = True,
    unusual: Mapping[str, pl.Expr] | None = None,
) -> tuple[list[str], pl.LazyFrame]:
    """The label of each combination of settings, and the columns to join it on.

    A setting is spelled out only if it varies within its kind or is `unusual`. Computed on the few distinct
    combinations of settings, not on the many points.
    """
    settings = {column: text for column, text in settings.items() if column not in hidden}
    columns = [*kind, *settings]
    varying = [column for column in columns if column not in constant]
    parts: list[pl.Expr] = [
        pl.when((pl.col(column).n_unique().over(kind) > 1) | (unusual or {}).get(column, pl.lit(False))).then(text)
        for column, text in settings.items()
    ]
    if head:
        parts = [pl.col(kind[0]), *parts]
    # without a varying column one row is enough, which any column gives
    chosen = points.select(varying).unique() if varying else points.select("trial_id").head(1)
    distinct = chosen.with_columns(constant[column] for column in columns if column in constant).with_columns(
        pl.concat_str(parts, separator=", ", ignore_nulls=True).alias(label)
    )
    options = pl.col(columns[-1])
    # readable options can coincide ("1" and 1): two curves under one name would be averaged, so such get the JSON
    ambiguous = pl.len().over(*kind, label) > 1
    return varying, distinct.select(
        *varying,
        pl.when(ambiguous)
        .then(pl.concat_str([label, options], separator=" ", ignore_nulls=True))
        .otherwise(label)
        .alias(label),
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


def without_rounds(curve: pl.Expr) -> pl.Expr:
    """A curve's label less its number of rounds, which stands right behind the pruner where it is said at all."""
    return curve.str.replace("^([^,]+), [0-9]+ rounds?(,| ·|$)", "${1}${2}")
