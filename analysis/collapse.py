"""When does a pruner remove a whole layer?

A trial counts as collapsed if and only if a prunable layer has no weight left (`collapsed_layers` > 0). Whether data
still get through (`is_connected`) is another question: a residual branch can bypass an empty layer.

Collapse need not be monotone in sparsity, so both ends are reported: the largest sparsity of the grid at which no
network collapsed, and the smallest at which some did. The first cannot exceed that of maximal compression, which leaves
one weight a layer.
"""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from analysis import networks
from analysis.cells import cells
from analysis.networks import MODEL
from analysis.palette import Palette


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
    """Share of networks collapsed, one row of cells a curve."""
    collapsed, n = pl.col("num_collapsed"), pl.col("n")
    return cells(
        rows.with_columns(
            collapsed_text=pl.format("{} of {}", "num_collapsed", "n"),
            connected_text=pl.format("{} of {}", "num_connected", "n"),
        ),
        palette,
        share=pl.col("collapsed_share"),
        shown=n > 0,
        text=pl.when((collapsed > 0) & (collapsed < n)).then(pl.format("{}/{}", collapsed, n)),
        tooltip=[
            alt.Tooltip("collapsed_text:N", title="collapsed"),
            alt.Tooltip("connected_text:N", title="connected"),
            alt.Tooltip("num_absent:Q", title="failed or missing"),
        ],
        title=title,
        width=width,
    )
