"""How much faster do pruned networks train? Seconds an epoch of the dense network over those of the sparse one.

Compared within one data set, model, recipe and machine, and with trials whose seconds are all their own: where training
and pruning take turns, levels are shared between trials, and what one recorded is not what it took. A network that no
image reaches trains on labels alone, which is no merit of its sparsity: it is counted beside.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import polars as pl

from analysis.axis import decade_ticks, sparsity_axis
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.machine import MACHINE, machine, timed_alone
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts
from analysis.trial_key import trial_key

KEYS = [*PANEL, "machine"]
"""Within which seconds are compared."""


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Speed-up by panel, machine, curve and density, from dense to sparse; pruned networks alone.

    `epoch_seconds` is the median over `n` connected trials, `dense_epoch_seconds` that over `num_dense` dense ones,
    `speedup` the second over the first (medians: what disturbs a measurement makes it longer), `slowest` and `fastest`
    the same of the slowest and the fastest of the n. `num_compact` of them trained the small network that is left.
    `num_disconnected` trials trained on labels alone. Speed-ups are null without a dense trial.
    """
    each = results.filter((pl.col("status") == "completed") & timed_alone()).select(
        *PANEL, "curve", "density", trial_key(), "engine", "is_connected", *MACHINE,
        (pl.col("train_seconds") / pl.col("epochs")).alias("seconds"),
    ).cache()  # fmt: skip
    group = [*PANEL, *MACHINE]
    dense = (
        each.filter(pl.col("density") == 1)
        .unique([*PANEL, "trial"], keep="any")
        .group_by(group)
        .agg(
            pl.col("seconds").median().alias("dense_epoch_seconds"),
            pl.len().cast(pl.Int64).alias("num_dense"),
        )
    )
    connected = pl.col("is_connected")
    seconds = pl.col("seconds").filter(connected)
    over = pl.col("dense_epoch_seconds")
    return (
        each.filter(pl.col("density") < 1)
        .group_by(*group, "curve", "density")
        .agg(
            seconds.len().cast(pl.Int64).alias("n"),
            seconds.median().alias("epoch_seconds"),
            seconds.min().alias("least"),
            seconds.max().alias("most"),
            (connected & pl.col("engine").is_in(["compact", "fused"])).sum().cast(pl.Int64).alias("num_compact"),
            (~connected).sum().cast(pl.Int64).alias("num_disconnected"),
        )
        .join(dense, on=group, how="left")
        .with_columns(
            machine(),
            num_dense=pl.col("num_dense").fill_null(0),
            speedup=over / pl.col("epoch_seconds"),
            slowest=over / pl.col("most"),
            fastest=over / pl.col("least"),
            sparsity=1 - pl.col("density"),
            compression_ratio=1 / pl.col("density"),
        )
        .select(
            *KEYS, "curve", "density", "sparsity", "compression_ratio", "n", "epoch_seconds", "num_dense",
            "dense_epoch_seconds", "speedup", "slowest", "fastest", "num_compact", "num_disconnected",
        )
        .sort(*KEYS, "curve", "compression_ratio")
    )  # fmt: skip


def plot(speedups: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of a collected `table`: a figure for a notebook or a paper."""
    palette = palette or Palette.of(speedups["curve"])
    panels = [
        panel(rows, palette, title=", ".join(part for part in (f"{model} on {dataset}", *rest) if part), width=380)
        for (dataset, model, *rest), rows in speedups.partition_by(KEYS, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """Speed-up against compression, both in decades; the line at 1 is the dense network's pace."""
    texts = sparsity_texts(rows["density"])
    shown = rows.filter(pl.col("speedup").is_not_null()).select(
        *("curve", "compression_ratio", "speedup", "slowest", "fastest", "epoch_seconds", "dense_epoch_seconds"),
        *("n", "num_dense", "num_disconnected"),
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
        compact_text=pl.format("{} of {}", "num_compact", "n"),
    )
    least, most = min([1.0, *shown["speedup"]]), max([2.0, *shown["speedup"]])
    scale = alt.Scale(type="log", nice=False, domain=[0.9 * least, 1.1 * most])
    legend: Any = None if width == "container" else alt.Legend(title=None, symbolOpacity=1, labelLimit=0)
    ticks = decade_ticks([least, most])
    axis = alt.Axis(labelExpr="format(datum.value, '~g') + ' x'", values=ticks)
    y = alt.Y("speedup:Q", title="times faster an epoch than dense", scale=scale, axis=axis)
    base = alt.Chart().encode(x=sparsity_axis(rows["density"]), y=y)
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=legend)
    line = base.mark_line(strokeWidth=1.8).encode(
        color=colour, strokeDash=alt.StrokeDash("curve:N", scale=palette.dash_scale(), legend=legend)
    )
    marks = base.mark_point(size=48, filled=True, opacity=1).encode(
        color=colour,
        shape=alt.Shape("curve:N", scale=palette.shape_scale(), legend=legend),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("speedup:Q", title="times faster (median)", format=".2f"),
            alt.Tooltip("slowest:Q", title="slowest run", format=".2f"),
            alt.Tooltip("fastest:Q", title="fastest run", format=".2f"),
            alt.Tooltip("epoch_seconds:Q", title="seconds an epoch", format=".3g"),
            alt.Tooltip("dense_epoch_seconds:Q", title="dense", format=".3g"),
            alt.Tooltip("n:Q", title="runs (n)"),
            alt.Tooltip("num_dense:Q", title="dense runs"),
            alt.Tooltip("compact_text:N", title="on the small network"),
            alt.Tooltip("num_disconnected:Q", title="disconnected, not in it"),
        ],
    )
    even = alt.Chart(alt.InlineData(values=[{"even": 1}])).mark_rule(strokeDash=[3, 3], color="#888888")
    return alt.LayerChart(
        data=inline(shown),
        layer=[even.encode(y=alt.Y("even:Q", scale=scale)), line, marks],
        width=width,
        height=260,
        title=title,
    )
