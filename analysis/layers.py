"""Which layers die? Weights kept in each layer at the sparsest point of the grid."""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from analysis.inline_data import inline
from analysis.palette import Palette
from analysis.trial_key import trial_key

ROW_PIXELS = 26
_PANEL = ["dataset_label", "model_label"]


def table(results: pl.LazyFrame, layers: pl.LazyFrame) -> pl.LazyFrame:
    """Layers by data set, model and curve, at the smallest density for which this model has a completed trial.

    `mean_kept` weights of `num_weights` are kept, over `n` trials; `kept_share` is their ratio; in `num_empty` of the
    trials the layer has none. Sorted by `position`, 0 nearest the input.
    """
    completed = results.filter(pl.col("status") == "completed")
    sparsest = completed.group_by(_PANEL).agg(pl.col("density").min())
    return (
        completed.join(sparsest, on=[*_PANEL, "density"])
        .select(*_PANEL, "curve", "density", trial_key())
        .join(
            layers.with_columns(trial_key()), on="trial", build_side="prefer_left"
        )  # the few go into memory, the many pass by
        .group_by(*_PANEL, "curve", "density", "position", "layer")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            pl.col("num_weights").max(),
            pl.col("kept").mean().alias("mean_kept"),
            (pl.col("kept") == 0).sum().cast(pl.Int64).alias("num_empty"),
        )
        .with_columns(kept_share=pl.col("mean_kept") / pl.col("num_weights"))
        .sort(*_PANEL, "curve", "position", "layer")
    )


def plot(kept: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of a collected `table` below each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(kept["curve"])
    panels = [
        panel(rows, palette, title=f"{model} on {dataset}", width=480)
        for (dataset, model), rows in kept.partition_by(_PANEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=1)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """A cell a layer: the fuller, the more of it is kept; a cross where it is empty in at least one trial."""
    names = rows.unique("position").sort("position")["layer"].to_list()
    shown = rows.with_columns(
        # decades of density: the interesting shares span several of them
        cell_opacity=pl.when(pl.col("mean_kept") > 0)
        .then((1 + pl.col("kept_share").log10().clip(lower_bound=-5) / 5.5).clip(0.12, 0.9))
        .otherwise(0.0),
        kept_text=pl.format("{} of {}", pl.col("mean_kept").round(1), "num_weights"),
        empty_text=pl.format("{} of {}", "num_empty", "n"),
        mark=pl.when(pl.col("num_empty") == pl.col("n"))
        .then(pl.lit("✕"))
        .when(pl.col("num_empty") > 0)
        .then(pl.format("✕ {}/{}", "num_empty", "n"))
        .otherwise(pl.lit("")),
    )
    curves = [curve for curve in palette.curves if curve in set(rows["curve"])]  # a hidden one leaves its row empty
    base = alt.Chart(inline(shown)).encode(
        x=alt.X(
            "layer:N",
            sort=names,
            title="layer, input to output",
            scale=alt.Scale(paddingInner=0.03),
            axis=alt.Axis(labelAngle=0 if len(names) < 6 else -40),
        ),
        y=alt.Y(
            "curve:N",
            title=None,
            scale=alt.Scale(domain=curves, paddingInner=0.1),
            axis=alt.Axis(grid=False, ticks=False, domain=False),
        ),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("layer:N"),
            alt.Tooltip("kept_text:N", title="weights kept (mean)"),
            alt.Tooltip("kept_share:Q", title="share kept", format=".3~%"),
            alt.Tooltip("empty_text:N", title="runs with it empty"),
        ],
    )
    cells = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color("curve:N", scale=palette.colour_scale(), legend=None),
        stroke=alt.Stroke("curve:N", scale=palette.colour_scale(), legend=None),
        strokeOpacity=alt.value(0.35),
        fillOpacity=alt.FillOpacity("cell_opacity:Q", scale=None),
    )
    crosses = base.mark_text(fontSize=11).encode(text="mark:N")
    return alt.LayerChart(layer=[cells, crosses], width=width, height=ROW_PIXELS * len(curves), title=title)
