"""Which networks are not beaten on both counts? The Pareto front of accuracy against density, work and training time.

A cell (a curve at a density) is dominated where another of its panel costs no more and is at least as accurate, and is
better in one of the two. Fronts are of means: two cells that differ by less than their intervals can change places.

Three costs: density; multiply-accumulates of one image's forward pass by live weights (`live_macs`); and the seconds
that training took, on each kind of machine by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import altair as alt
import polars as pl

from analysis.accuracy import PER_CENT, half_width
from analysis.axis import decade_ticks, sparsity_axis
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.machine import MACHINE, TIMED_ALONE, machine, timed_alone
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts

COSTS = ("density", "multiply-accumulates", "training seconds")
FRONT = [*PANEL, "cost", "machine"]
"""What a front is of: the columns that name a panel."""
_CELL = [*PANEL, "curve", "density"]


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Cells with their costs, one row a cell and cost, cheap to dear within a front.

    `cost` is one of `COSTS`, `value` its mean over the same `n` trials as `mean_accuracy`, `machine` what training
    seconds were measured on and "" for other costs. `num_left_out` trials of the cell have no usable accuracy: failed,
    diverged or missing. `num_collapsed` of the n have an empty layer. Cells are left out of multiply-accumulates where
    one of their networks was not counted, and of training seconds where training is shared between trials.
    """
    measures = ["outcome", "final_test_accuracy", "collapsed_layers", "live_macs", "train_seconds"]
    results = results.select(*_CELL, *measures, *TIMED_ALONE, *MACHINE).cache()  # used twice
    usable = pl.col("outcome") == "completed"
    accuracy = pl.col("final_test_accuracy").filter(usable)
    macs = pl.col("live_macs").filter(usable)
    measured = [
        accuracy.len().cast(pl.Int64).alias("n"),
        accuracy.mean().alias("mean_accuracy"),
        accuracy.std().alias("deviation"),
        (usable & (pl.col("collapsed_layers") > 0)).sum().cast(pl.Int64).alias("num_collapsed"),
    ]
    cells = results.group_by(_CELL).agg(
        *measured,
        (~usable).sum().cast(pl.Int64).alias("num_left_out"),
        pl.when(macs.count() == macs.len()).then(macs.mean()).alias("live_macs"),
    )
    timed = (
        results.filter(timed_alone())
        .group_by(*_CELL, *MACHINE)
        .agg(*measured, pl.col("train_seconds").filter(usable).mean().alias("value"))
        .join(cells.select(*_CELL, "num_left_out"), on=_CELL)
        .with_columns(machine(), cost=pl.lit(COSTS[2]))
    )
    costs = [
        cells.with_columns(cost=pl.lit(name), machine=pl.lit(""), value=pl.col(column).cast(pl.Float64))
        for name, column in zip(COSTS, ("density", "live_macs"), strict=False)
    ]
    width = half_width(pl.col("deviation"), pl.col("n"))
    columns = [*FRONT, "curve", "density", "n", "mean_accuracy", "deviation", "value", "num_collapsed", "num_left_out"]
    return (
        pl.concat([one.select(columns) for one in (*costs, timed)])
        .filter((pl.col("n") > 0) & pl.col("value").is_not_null())
        # means of the same trials, added up in another order, are to be the same
        .with_columns(pl.col("mean_accuracy", "value").round_sig_figs(12))
        .pipe(_with_front)
        .with_columns(
            interval_low=pl.col("mean_accuracy") - width,
            interval_high=pl.col("mean_accuracy") + width,
            sparsity=1 - pl.col("density"),
            compression_ratio=1 / pl.col("density"),
        )
        .select(
            *FRONT, "curve", "density", "sparsity", "compression_ratio", "value",
            "n", "mean_accuracy", "interval_low", "interval_high", "num_collapsed", "num_left_out", "is_on_front",
        )
        .sort(*PANEL, pl.col("cost").cast(pl.Enum(COSTS)), "machine", "value", "mean_accuracy", "curve")
    )  # fmt: skip


def front(table: pl.DataFrame) -> pl.DataFrame:
    """The cells of a collected `table` that nothing dominates; curves that share one trial are named in one row."""
    same = [*FRONT, "density", "sparsity", "value", "mean_accuracy", "n", "num_collapsed"]
    return (
        table.filter(pl.col("is_on_front"))
        .group_by(same, maintain_order=True)
        .agg(pl.col("interval_low", "interval_high").first(), pl.col("curve").sort().alias("curves"))
    )


def _with_front(cells: pl.LazyFrame) -> pl.LazyFrame:
    """Cells with `is_on_front`: the most accurate at their cost, and more so than all that is cheaper."""
    by_cost = (
        cells.group_by(*FRONT, "value")
        .agg(pl.col("mean_accuracy").max().alias("best"))
        .sort(*FRONT, "value")
        .with_columns(best_cheaper=pl.col("best").cum_max().shift(1).over(FRONT).fill_null(float("-inf")))
    )
    accuracy = pl.col("mean_accuracy")
    return cells.join(by_cost, on=[*FRONT, "value"]).with_columns(
        is_on_front=(accuracy == pl.col("best")) & (accuracy > pl.col("best_cheaper"))
    )


def plot(cells: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All fronts of a collected `table`: a figure for a notebook or a paper."""
    palette = palette or Palette.of(cells["curve"])
    panels = [
        panel(rows, palette, title=title(key), width=300)
        for key, rows in cells.partition_by(FRONT, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=3)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """One front, cheaper to the right: its cells in full and joined by a line, dominated ones faint.

    Networks without a multiplication left have no place on an axis of decades and are not drawn.
    """
    cost = rows["cost"][0]
    texts = sparsity_texts(rows["density"])
    shown = rows.filter(pl.col("value") > 0).select(
        *("curve", "compression_ratio", "value", "mean_accuracy", "n", "num_left_out", "is_on_front"),
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
        interval_text=pl.when(pl.col("interval_low").is_null())
        .then(pl.lit("none: one run"))
        .otherwise(pl.format("{} to {} %", *((100 * pl.col(f"interval_{end}")).round(1) for end in ("low", "high")))),
        collapsed_text=pl.format("{} of {}", "num_collapsed", "n"),
    )
    x = (
        sparsity_axis(rows["density"])
        if cost == COSTS[0]
        else alt.X(
            "value:Q",
            title=cost + (" of an image" if cost == COSTS[1] else f" on {rows['machine'][0]}"),
            scale=alt.Scale(type="log", reverse=True, nice=False, padding=12),
            axis=alt.Axis(
                format="~s" if cost == COSTS[1] else "~g", labelOverlap="greedy", values=decade_ticks(shown["value"])
            ),
        )
    )
    y = alt.Y("mean_accuracy:Q", title="test accuracy, final epoch", axis=PER_CENT, scale=alt.Scale(zero=False))
    legend: Any = None if width == "container" else alt.Legend(title=None, symbolOpacity=1, labelLimit=0)
    base = alt.Chart().encode(x=x, y=y)
    line = (
        base.transform_filter("datum.is_on_front")
        .mark_line(color="#888888", strokeWidth=1.2)
        .encode(order=alt.Order("value:Q"))
    )
    marks = base.mark_point(size=60, strokeWidth=1.6, filled=True).encode(
        color=alt.Color("curve:N", scale=palette.colour_scale(), legend=legend),
        shape=alt.Shape("curve:N", scale=palette.shape_scale(), legend=legend),
        opacity=alt.condition("datum.is_on_front", alt.value(1), alt.value(0.35)),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("mean_accuracy:Q", title="mean accuracy", format=".1%"),
            alt.Tooltip("interval_text:N", title="95 % interval"),
            alt.Tooltip("value:Q", title=cost, format=".4~g"),
            alt.Tooltip("n:Q", title="runs (n)"),
            alt.Tooltip("collapsed_text:N", title="collapsed"),
            alt.Tooltip("num_left_out:Q", title="not in the mean"),
            alt.Tooltip("is_on_front:N", title="on the front"),
        ],
    )
    return alt.LayerChart(data=inline(shown), layer=[line, marks], width=width, height=280, title=title)


def title(key: Iterable[str]) -> str:
    """The values of `FRONT` in one line."""
    dataset, model, *rest = key
    return ", ".join(part for part in (f"{model} on {dataset}", *rest) if part)
