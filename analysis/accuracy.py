"""How accurate are pruned networks at each sparsity?

Headline: test accuracy after the final epoch, mean over seeds with a Student-t 95 % interval. Collapsed networks stay
in the mean, for that is what the pruner gives; trials without a usable accuracy cannot be in it and are counted beside.
Where results were selected on validation (`analysis.select`), what was chosen stands beside its test accuracy.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import altair as alt
import polars as pl
import polars.selectors as cs

from analysis import bootstrap
from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts
from analysis.student import quantile

CONFIDENCE = 0.95
PER_CENT = alt.Axis(labelExpr="round(100 * datum.value) + ' %'", tickCount=6, labelPadding=6)


def table(results: pl.LazyFrame, *, interval: Literal["student", "bootstrap"] = "student") -> pl.LazyFrame:
    """Accuracy by panel, curve and density, sorted from dense to sparse. All accuracies are fractions.

    `n` trials are in `mean_accuracy`, `min_accuracy` and `max_accuracy`; `interval_low` and `interval_high` bound the
    mean with 95 % confidence. Student's are null for n < 2 and may leave [0, 1]; those by bootstrap are refused for
    n < 10, and `interval_refused` says so. `num_collapsed` and `collapsed_share` are of those n. `num_diverged`,
    `num_failed` and `num_missing` are not in the mean. `chance` is 1 / classes. `chosen` is there if it is in
    `results`.
    """
    usable = pl.col("outcome") == "completed"
    accuracy = pl.col("final_test_accuracy").filter(usable)
    n = pl.col("n")
    chosen = cs.by_name("chosen", require_all=False)
    if interval == "bootstrap":
        bounds = [bootstrap.intervals(pl.col("accuracies")).alias("interval")]
    else:
        mean, width = pl.col("mean_accuracy"), half_width(pl.col("deviation"), n)
        bounds = [pl.struct(interval_low=mean - width, interval_high=mean + width).alias("interval")]
    return (
        results.group_by(*PANEL, "curve", "density")
        .agg(
            accuracy.len().cast(pl.Int64).alias("n"),
            accuracy.mean().alias("mean_accuracy"),
            accuracy.std().alias("deviation"),
            accuracy.min().alias("min_accuracy"),
            accuracy.max().alias("max_accuracy"),
            *([accuracy.alias("accuracies")] if interval == "bootstrap" else []),
            (usable & (pl.col("collapsed_layers") > 0)).sum().cast(pl.Int64).alias("num_collapsed"),
            *(
                (pl.col("outcome") == outcome).sum().cast(pl.Int64).alias(f"num_{outcome}")
                for outcome in ("diverged", "failed", "missing")
            ),
            (1 / pl.col("num_classes").max()).alias("chance"),
            chosen.first(),
        )
        .with_columns(
            *bounds,
            collapsed_share=pl.when(n > 0).then(pl.col("num_collapsed") / n),
            sparsity=1 - pl.col("density"),
            compression_ratio=1 / pl.col("density"),
        )
        .select(
            *PANEL, "curve", "density", "sparsity", "compression_ratio",
            "n", "mean_accuracy", "interval", "min_accuracy", "max_accuracy",
            "num_collapsed", "collapsed_share", "num_diverged", "num_failed", "num_missing", "chance", chosen,
        )
        .unnest("interval")
        .sort(*PANEL, "curve", "compression_ratio")
    )  # fmt: skip


def half_width(deviation: pl.Expr, n: pl.Expr) -> pl.Expr:
    """Half the width of the Student-t 95 % interval of a mean of `n` values, columns both; null for n < 2."""
    return quantile(n - 1, CONFIDENCE) * deviation / n.sqrt()


def plot(accuracy: pl.DataFrame, palette: Palette | None = None, *, lowest: float = 0.0) -> alt.ConcatChart:
    """All panels of a collected `table` beside each other, with one legend: a figure for a notebook or a paper.

    Accuracies below `lowest` are cut off.
    """
    palette = palette or Palette.of(accuracy["curve"])
    panels = [
        panel(rows, palette, title=panel_title(key), width=380, lowest=lowest)
        for key, rows in accuracy.partition_by(PANEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2).add_params(paper())


def panel(
    rows: pl.DataFrame,
    palette: Palette,
    *,
    title: str = "",
    width: float | Literal["container"] = "container",
    lowest: float = 0.0,
    highest: float = 0.0,
) -> alt.LayerChart:
    """Accuracy against compression in one panel. Reads the parameter `paper`, the colour behind hollow marks.

    The axis reaches from `lowest` to at least `highest`.

    Bands are the intervals. A mark is hollow where at least one of its networks has collapsed.
    """
    texts = sparsity_texts(rows["density"])
    shown = rows.filter(pl.col("n") > 0).with_columns(
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
        collapsed_text=pl.format("{} of {}", "num_collapsed", "n"),
        interval_text=pl.when(pl.col("interval_low").is_null())
        .then(pl.lit("none: one run"))
        .otherwise(pl.concat_str([_percent("interval_low"), pl.lit(" to "), _percent("interval_high"), pl.lit(" %")])),
        absent=pl.col("num_diverged") + pl.col("num_failed") + pl.col("num_missing"),
    )
    x = sparsity_axis(rows["density"])
    top = max([0.05, highest, *shown["max_accuracy"]])
    y_scale = alt.Scale(domain=[lowest, math.ceil(round(10 * top, 6)) / 10], nice=False)
    y = alt.Y("mean_accuracy:Q", title="test accuracy, final epoch", axis=PER_CENT, scale=y_scale)
    colour, dash, shape = palette.colour_scale(), palette.dash_scale(), palette.shape_scale()
    legend: Any = None if width == "container" else alt.Legend(title=None, symbolSize=70, symbolOpacity=1, labelLimit=0)
    base = alt.Chart()
    band = base.mark_area(opacity=0.1, clip=True).encode(
        x=x,
        y=alt.Y("interval_low:Q", scale=y_scale),
        y2="interval_high:Q",
        color=alt.Color("curve:N", scale=colour, legend=legend),
    )
    line = base.mark_line(strokeWidth=1.8, clip=lowest > 0).encode(
        x=x,
        y=y,
        color=alt.Color("curve:N", scale=colour, legend=legend),
        strokeDash=alt.StrokeDash("curve:N", scale=dash, legend=legend),
    )
    seen = base.transform_filter(f"datum.mean_accuracy >= {lowest}")  # clipping would halve the marks on the frame
    marks = seen.mark_point(size=52, strokeWidth=1.6, opacity=1).encode(
        x=x,
        y=y,
        stroke=alt.Stroke("curve:N", scale=colour, legend=legend),
        shape=alt.Shape("curve:N", scale=shape, legend=legend),
        fill=alt.condition(
            "datum.num_collapsed > 0", alt.value({"expr": "paper"}), alt.Fill("curve:N", scale=colour, legend=None)
        ),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("mean_accuracy:Q", title="mean accuracy", format=".1%"),
            alt.Tooltip("interval_text:N", title="95 % interval"),
            alt.Tooltip("min_accuracy:Q", title="lowest", format=".1%"),
            alt.Tooltip("max_accuracy:Q", title="highest", format=".1%"),
            alt.Tooltip("n:Q", title="runs (n)"),
            alt.Tooltip("collapsed_text:N", title="collapsed"),
            alt.Tooltip("absent:Q", title="not in the mean"),
            *([alt.Tooltip("chosen:N", title="chosen on validation")] if "chosen" in rows.columns else []),
        ],
    )
    layers = [*_chance(shown, lowest), band, line, marks]
    # data belong to the whole, not to the layers, so that a filter put on the whole reaches them
    data = inline(shown)
    return alt.LayerChart(data=data, layer=layers, width=width, height=320, title=title)


def _chance(shown: pl.DataFrame, lowest: float) -> list[alt.Chart]:
    """A line at the accuracy of guessing, where it is known and in sight."""
    levels = shown["chance"].drop_nulls().to_list()
    if not levels or max(levels) < lowest:
        return []
    base = alt.Chart(alt.InlineData(values=[{"chance": max(levels), "text": "chance"}])).encode(y="chance:Q")
    rule = base.mark_rule(strokeDash=[3, 3], opacity=0.6, color="#888888")
    text = base.mark_text(align="left", baseline="bottom", dx=4, dy=-2, fontSize=11, color="#888888")
    return [rule, text.encode(x=alt.value(0), text="text:N")]


def paper(colour: str = "white") -> alt.Parameter:
    """The parameter that fills hollow marks: the colour of the page."""
    return alt.param(name="paper", value=colour)


def panel_title(key: tuple[Any, ...]) -> str:
    """A panel's labels in one line."""
    dataset, model, training = key
    return f"{model} on {dataset}" + (f", {training}" if training else "")


def _percent(column: str) -> pl.Expr:
    return (100 * pl.col(column)).round(1).cast(pl.String)
