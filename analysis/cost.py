"""What did the sweep cost? Hours of a slot by data set, model, pruner, sparsity and phase, and trials an hour.

A slot is what one trial has to itself: a core, or a GPU or its share. Hours are those that trials recorded, of the
attempt that counts; failed trials recorded none, and attempts that were lost are not in the store. Machines are never
added up.
"""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from analysis.inline_data import inline
from analysis.machine import MACHINE, machine
from analysis.palette import Palette
from analysis.trial_key import trial_key

PHASES = ("load", "build", "prune", "train")
AXES = ("all", "data set", "model", "pruner", "sparsity")
SHARED = "shared by several"
"""The pruner of trials that stand under several curves: at density 1 there is nothing to prune."""
ROW_PIXELS = 24
_COLOURS = ("#c9c9c9", "#8a8a8a", "#e69f00", "#0072b2")


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Slot-hours by machine, axis (`AXES`) and value, each trial once; the dearest value of an axis first.

    `load_hours` ... `train_hours` add up to `total_hours`, over `num_trials` trials with a time. `num_untimed` trials
    failed, so that nobody knows what they took. `share` is of the machine's hours; `hours_a_trial` the mean.
    """
    seconds = [pl.col(f"{phase}_seconds") for phase in PHASES]
    trials = (
        results.filter(pl.col("status").is_in(["completed", "failed"]))
        .select(trial_key(), "dataset_label", "model_label", "curve", "density", *MACHINE, *seconds)
        .with_columns(is_shared=pl.col("trial").is_duplicated())
    )
    shared = (
        trials.filter("is_shared")  # few: to group all would take twice as long as everything else here
        .group_by("trial")
        .agg(pl.exclude("trial", "curve").first(), _one_or("curve", SHARED))
        .select(trials.collect_schema().names())
    )
    each = pl.concat([trials.filter(~pl.col("is_shared")), shared])
    cells = each.group_by("dataset_label", "model_label", "curve", "density", *MACHINE).agg(
        *(one.sum().truediv(3600).alias(f"{phase}_hours") for phase, one in zip(PHASES, seconds, strict=True)),
        pl.col("train_seconds").count().cast(pl.Int64).alias("num_trials"),
        pl.col("train_seconds").null_count().cast(pl.Int64).alias("num_untimed"),
    )
    values = {
        "all": pl.lit("all trials"),
        "data set": pl.col("dataset_label"),
        "model": pl.col("model_label"),
        "pruner": pl.col("curve"),
        "sparsity": _sparsity(),
    }
    counted = [f"{phase}_hours" for phase in PHASES] + ["num_trials", "num_untimed"]
    summed = pl.concat(
        cells.group_by(*MACHINE, value.alias("value")).agg(pl.col(counted).sum()).with_columns(axis=pl.lit(axis))
        for axis, value in values.items()
    )
    total = pl.sum_horizontal(f"{phase}_hours" for phase in PHASES)
    whole = pl.col("total_hours").filter(pl.col("axis") == "all").sum().over(MACHINE)
    return (
        summed.with_columns(machine(), total_hours=total)
        .with_columns(
            share=pl.when(whole > 0).then(pl.col("total_hours") / whole),
            hours_a_trial=pl.when(pl.col("num_trials") > 0).then(pl.col("total_hours") / pl.col("num_trials")),
        )
        .select(
            "machine", "axis", "value", *(f"{phase}_hours" for phase in PHASES), "total_hours", "share",
            "hours_a_trial", "num_trials", "num_untimed",
        )
        .sort("machine", pl.col("axis").cast(pl.Enum(AXES)), pl.col("total_hours"), "value",
              descending=[False, False, True, False])
    )  # fmt: skip


def pace(results: pl.LazyFrame) -> pl.LazyFrame:
    """How fast trials came in, by run and machine, the earliest run first.

    `wall_hours` pass between the first and the last of `num_trials` trials that ended; `trials_an_hour` are the others
    of them over these hours, null for one trial. `slots` is how many trials ran at a time on average: slot-hours over
    hours. `num_failed` of the trials failed; they took time that was not recorded.
    """
    first, last = pl.col("finished_at").min(), pl.col("finished_at").max()
    hours = pl.col("wall_hours")
    return (
        results.filter(pl.col("finished_at").is_not_null())
        .select(trial_key(), "run_id", "finished_at", "status", *MACHINE, _spent())
        .unique("trial", keep="any")
        .group_by("run_id", *MACHINE)
        .agg(
            pl.len().cast(pl.Int64).alias("num_trials"),
            (pl.col("status") == "failed").sum().cast(pl.Int64).alias("num_failed"),
            (pl.col("spent_seconds").sum() / 3600).alias("slot_hours"),
            first.alias("first_finished"),
            ((last - first).dt.total_microseconds() / 3.6e9).alias("wall_hours"),
        )
        .with_columns(
            machine(),
            trials_an_hour=pl.when(hours > 0).then((pl.col("num_trials") - 1) / hours),
            slots=pl.when(hours > 0).then(pl.col("slot_hours") / hours),
        )
        .sort("first_finished", "run_id", "machine")
        .select("run_id", "machine", "num_trials", "num_failed", "slot_hours", "wall_hours", "trials_an_hour", "slots")
    )


def plot(hours: pl.DataFrame, palette: Palette | None = None) -> alt.VConcatChart:
    """A collected `table` by pruner and phase, a panel a machine: a figure for a notebook or a paper."""
    by_pruner = hours.filter(pl.col("axis") == "pruner")
    palette = palette or Palette.of(by_pruner["value"])
    panels = [
        panel(rows, palette, title=name, width=480)
        for (name,), rows in by_pruner.partition_by("machine", as_dict=True, maintain_order=True).items()
    ]
    return alt.vconcat(*panels)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """Hours of one machine by pruner, phases stacked."""
    phases = [f"{phase}_hours" for phase in PHASES]
    shown = (
        rows.filter((pl.col("axis") == "pruner") & (pl.col("num_trials") > 0))
        .rename({"value": "curve"})
        .unpivot(phases, index=["curve", "total_hours", "num_trials", "num_untimed"], variable_name="phase")
        .with_columns(
            pl.col("phase").str.strip_suffix("_hours"),
            order=pl.col("phase").replace_strict({name: place for place, name in enumerate(phases)}),
        )
    )
    present = set(shown["curve"])
    curves = [curve for curve in (*palette.curves, SHARED) if curve in present]
    bars = (
        alt.Chart()
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title="slot-hours", axis=alt.Axis(format="~g", tickCount=5)),
            y=alt.Y("curve:N", title=None, scale=alt.Scale(domain=curves), axis=alt.Axis(ticks=False, domain=False)),
            color=alt.Color(
                "phase:N",
                scale=alt.Scale(domain=list(PHASES), range=list(_COLOURS)),
                legend=alt.Legend(title=None, orient="top"),
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("curve:N"),
                alt.Tooltip("phase:N"),
                alt.Tooltip("value:Q", title="slot-hours", format=".3g"),
                alt.Tooltip("total_hours:Q", title="all phases", format=".3g"),
                alt.Tooltip("num_trials:Q", title="trials"),
                alt.Tooltip("num_untimed:Q", title="failed, untimed"),
            ],
        )
    )
    return alt.LayerChart(
        data=inline(shown), layer=[bars], width=width, height=max(1, len(curves)) * ROW_PIXELS, title=title
    )


def _one_or(column: str, several: str) -> pl.Expr:
    value = pl.col(column)
    return pl.when(value.min() == value.max()).then(value.first()).otherwise(pl.lit(several)).alias(column)


def _sparsity() -> pl.Expr:
    return pl.format("{} %", (100 * (1 - pl.col("density"))).round(6).cast(pl.String).str.strip_suffix(".0"))


def _spent() -> pl.Expr:
    return pl.sum_horizontal(f"{phase}_seconds" for phase in PHASES).alias("spent_seconds")
