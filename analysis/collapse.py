"""When does a pruner remove a whole layer?

A trial counts as collapsed if and only if a prunable layer has no weight left (`collapsed_layers` > 0). Whether data
still get through (`is_connected`) is another question: a residual branch can bypass an empty layer.

Collapse need not be monotone in sparsity, so both ends are reported: the largest sparsity of the grid at which no
network collapsed, and the smallest at which some did. The first cannot exceed that of maximal compression, which leaves
one weight a layer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import altair as alt
import polars as pl

from analysis import networks
from analysis.axis import sparsity_axis
from analysis.networks import MODEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts

MOST_CELLS_WITH_TEXT = 13
"""Where the grid is finer, a cell on a phone has no room for "3/5": there it is in the tooltip alone."""
ROW_PIXELS = 26


def shares(results: pl.LazyFrame) -> pl.LazyFrame:
    """Networks pruned and collapsed by data set, model, curve and density, sorted from dense to sparse.

    A network counts once, however many ways it was trained in (`analysis.networks`). `n` networks were pruned,
    `num_collapsed` of them collapsed, `num_connected` still connect input to output; `num_absent` failed or are
    missing.
    """
    return (
        networks.table(results)
        .group_by(*MODEL, "curve", "density")
        .agg(
            pl.col("pruned").sum().cast(pl.Int64).alias("n"),
            pl.col("collapsed").sum().cast(pl.Int64).alias("num_collapsed"),
            pl.col("connected").sum().cast(pl.Int64).alias("num_connected"),
            (~pl.col("pruned")).sum().cast(pl.Int64).alias("num_absent"),
            pl.col("max_compression_ratio").max(),
        )
        .with_columns(
            collapsed_share=pl.when(pl.col("n") > 0).then(pl.col("num_collapsed") / pl.col("n")),
            compression_ratio=1 / pl.col("density"),
        )
        .sort(*MODEL, "curve", "compression_ratio")
    )


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Where collapse begins, by data set, model and curve. Sparsities are fractions, null where there is none.

    `largest_sparsity_without` and `smallest_sparsity_with` collapse are of the grid; `sparsest`, `sparsest_n` and
    `sparsest_share` describe its sparsest point with a result. `max_compression_ratio` is prunable weights / prunable
    layers, `max_compression_sparsity` the sparsity it means. `num_absent` networks failed or are missing. Network by
    network, that is `analysis.critical`.
    """
    measured = pl.col("n") > 0
    density = pl.col("density")
    sparsest = measured & (density == density.filter(measured).min())
    ratio = pl.col("max_compression_ratio").max()
    return (
        shares(results)
        .group_by(*MODEL, "curve")
        .agg(
            (1 - density.filter(measured & (pl.col("num_collapsed") == 0)).min()).alias("largest_sparsity_without"),
            (1 - density.filter(pl.col("num_collapsed") > 0).max()).alias("smallest_sparsity_with"),
            (1 - density.filter(measured).min()).alias("sparsest"),
            pl.col("n").filter(sparsest).sum().alias("sparsest_n"),
            pl.col("collapsed_share").filter(sparsest).first().alias("sparsest_share"),
            ratio.alias("max_compression_ratio"),
            (1 - 1 / ratio).alias("max_compression_sparsity"),
            pl.col("num_absent").sum(),
        )
        .sort(*MODEL, "curve")
    )


def plot(collapsed: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of collected `shares` below each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(collapsed["curve"])
    panels = [
        panel(rows, palette, title=f"{model} on {dataset}", width=480)
        for (dataset, model), rows in collapsed.partition_by(MODEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=1)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """Share of networks collapsed, one row of cells a curve: lines would lie on each other at 0 and at 1."""
    texts = sparsity_texts(rows["density"])
    ratios = sorted({1 / density for density in rows["density"]})
    edges = _edges(ratios)
    shown = rows.filter(pl.col("n") > 0).with_columns(
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
        left=pl.col("compression_ratio").replace_strict(
            dict(zip(ratios, edges, strict=False)), return_dtype=pl.Float64
        ),
        right=pl.col("compression_ratio").replace_strict(
            dict(zip(ratios, edges[1:], strict=True)), return_dtype=pl.Float64
        ),
        collapsed_text=pl.format("{} of {}", "num_collapsed", "n"),
        connected_text=pl.format("{} of {}", "num_connected", "n"),
        fraction=pl.format("{}/{}", "num_collapsed", "n"),
        cell_opacity=0.1 + 0.8 * pl.col("collapsed_share"),
    )
    curves = [curve for curve in palette.curves if curve in set(rows["curve"])]  # a hidden one leaves its row empty
    axis = sparsity_axis(rows["density"])
    scale = alt.Scale(type="log", domain=[edges[0], edges[-1]], nice=False)
    axis["axis"]["grid"] = False
    x = alt.X("left:Q", title=axis["title"], axis=axis["axis"], scale=scale)
    y = alt.Y(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=curves, paddingInner=0.1),
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )
    base = alt.Chart(alt.InlineData(values=shown.to_dicts()))
    cells = base.mark_rect(xOffset=1, x2Offset=-1, cornerRadius=3).encode(
        x=x,
        x2="right:Q",
        y=y,
        color=alt.Color("curve:N", scale=palette.colour_scale(), legend=None),
        fillOpacity=alt.FillOpacity("cell_opacity:Q", scale=None),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("collapsed_text:N", title="collapsed"),
            alt.Tooltip("connected_text:N", title="connected"),
            alt.Tooltip("num_absent:Q", title="failed or missing"),
        ],
    )
    partly = base.transform_filter("datum.num_collapsed > 0 && datum.num_collapsed < datum.n").mark_text(fontSize=10.5)
    layers: list[alt.Chart] = [cells]
    if len(ratios) <= MOST_CELLS_WITH_TEXT:
        layers.append(
            partly.encode(x=alt.X("compression_ratio:Q", scale=scale, axis=axis["axis"]), y=y, text="fraction:N")
        )
    return alt.LayerChart(layer=layers, width=width, height=ROW_PIXELS * len(curves), title=title)


def _edges(ratios: list[float]) -> list[float]:
    """Borders of the cells around sorted compression ratios: half-way to the neighbours, in decades."""
    if len(ratios) < 2:
        return [ratios[0] / 2, ratios[0] * 2] if ratios else []
    inner = [(a * b) ** 0.5 for a, b in pairwise(ratios)]
    return [ratios[0] ** 2 / inner[0], *inner, ratios[-1] ** 2 / inner[-1]]
