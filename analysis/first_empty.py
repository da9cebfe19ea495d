"""Where along the depth does collapse happen? The layers that are empty at each network's first collapsed sparsity.

The grid decides how early one looks: several layers can have emptied since the point before, and which of them was
first is not known. So a network counts for each, and how often a layer was the only one stands beside.
"""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from analysis import networks
from analysis.inline_data import inline
from analysis.networks import IDENTITY, MODEL, SEEDS
from analysis.palette import Palette
from analysis.trial_key import trial_key

ROW_PIXELS = 26


def table(results: pl.LazyFrame, layers: pl.LazyFrame) -> pl.LazyFrame:
    """Prunable layers by data set, model and curve, input to output, of curves with a collapsed network.

    `n` networks collapse somewhere in the grid and have rows in `layers`; in `num_empty` of them (`empty_share`) this
    layer has no weight at their first collapsed sparsity, in `num_alone` it is the only one. `depth` is the place among
    the `num_layers` prunable layers from 0, nearest the input; `relative_depth` runs from 0 to 1. `median_density` is
    that of the first collapse, over networks in which the layer is empty. Networks without any collapse have no part.
    """
    empty = pl.col("is_empty")
    return (
        of_networks(results, layers)
        .group_by(*MODEL, "curve", "depth", "layer", "num_layers")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            empty.sum().cast(pl.Int64).alias("num_empty"),
            (empty & (pl.col("num_empty_layers") == 1)).sum().cast(pl.Int64).alias("num_alone"),
            pl.col("density").filter(empty).median().alias("median_density"),
        )
        .with_columns(
            empty_share=pl.col("num_empty") / pl.col("n"),
            relative_depth=pl.when(pl.col("num_layers") > 1)
            .then(pl.col("depth") / (pl.col("num_layers") - 1))
            .otherwise(0.0),
        )
        .select(
            *MODEL, "curve", "layer", "depth", "num_layers", "relative_depth",
            "n", "num_empty", "empty_share", "num_alone", "median_density",
        )
        .sort(*MODEL, "curve", "depth", "layer")
    )  # fmt: skip


def of_networks(results: pl.LazyFrame, layers: pl.LazyFrame) -> pl.LazyFrame:
    """The same network by network: a row a prunable layer of each that collapses, in no order.

    `density` is that of its first collapse; `is_empty` says whether the layer has no weight there, as
    `num_empty_layers` of its layers have.
    """
    with_empty = results.filter(pl.col("collapsed_layers") > 0)
    firsts = (
        networks.table(with_empty)
        .filter(pl.col("collapsed"))
        .select(*IDENTITY, "density", "trial_id")
        .group_by(IDENTITY)
        .agg(pl.all().sort_by("density").last())
        .select(*MODEL, "curve", *SEEDS, "density", "trial_id")
        # stores beside each other can hold the same trial, each under curves of its own
        .join(with_empty.select(*MODEL, "curve", "trial_id", "store").unique(), on=[*MODEL, "curve", "trial_id"])
        .select(*MODEL, "curve", *SEEDS, "density", trial_key())
    )
    prunable = (
        layers.filter(pl.col("is_layer").fill_null(True))  # False: a bias, a scale
        .select(trial_key(), "layer", "position", "kept")
        # the few trials first: everything after is done on their layers alone
        .join(firsts.select("trial").unique(), on="trial", how="semi")
        .with_columns(
            depth=pl.col("position").rank("dense").over("trial").cast(pl.Int64) - 1,
            num_layers=pl.len().over("trial").cast(pl.Int64),
            is_empty=pl.col("kept") == 0,
        )
        .with_columns(num_empty_layers=pl.col("is_empty").sum().over("trial"))
    )
    return firsts.join(prunable, on="trial")


def plot(layers: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of a collected `table` below each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(layers["curve"])
    panels = [
        panel(rows, palette, title=f"{model} on {dataset}", width=480)
        for (dataset, model), rows in layers.partition_by(MODEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=1)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """A row a curve, input to output: the fuller a cell, the more of the collapsed networks have that layer empty."""
    shown = rows.with_columns(
        left=pl.col("depth") / pl.col("num_layers"),
        right=(pl.col("depth") + 1) / pl.col("num_layers"),
        cell_opacity=pl.when(pl.col("num_empty") > 0).then(0.15 + 0.75 * pl.col("empty_share")).otherwise(0.03),
        empty_text=pl.format("{} of {}", "num_empty", "n"),
        place_text=pl.format("{} of {}", pl.col("depth") + 1, "num_layers"),
    )
    curves = [curve for curve in palette.curves if curve in set(rows["curve"])]  # a hidden one leaves its row empty
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%", grid=False, labelFlush=False)
    scale = alt.Scale(domain=[0, 1], nice=False)
    cells = (
        alt.Chart(inline(shown))
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("left:Q", title="depth: input to output", axis=axis, scale=scale),
            x2="right:Q",
            y=alt.Y(
                "curve:N",
                title=None,
                scale=alt.Scale(domain=curves, paddingInner=0.1),
                axis=alt.Axis(grid=False, ticks=False, domain=False),
            ),
            color=alt.Color("curve:N", scale=palette.colour_scale(), legend=None),
            stroke=alt.Stroke("curve:N", scale=palette.colour_scale(), legend=None),
            strokeOpacity=alt.value(0.25),
            fillOpacity=alt.FillOpacity("cell_opacity:Q", scale=None),
            tooltip=[
                alt.Tooltip("curve:N"),
                alt.Tooltip("layer:N"),
                alt.Tooltip("place_text:N", title="place"),
                alt.Tooltip("empty_text:N", title="empty at first collapse"),
                alt.Tooltip("num_alone:Q", title="it alone"),
            ],
        )
    )
    return alt.LayerChart(layer=[cells], width=width, height=ROW_PIXELS * len(curves), title=title)
