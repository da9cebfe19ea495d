"""How much of what is kept is of any use? Effective against direct sparsity.

A kept weight that no path from an input to an output uses is as good as removed (Vysogorets and Kempe 2023). Effective
density counts the others: it is at most the density asked for, and 0 where nothing connects input to output.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import polars as pl

from analysis import networks
from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.networks import MODEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_text, sparsity_texts


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Effective density by data set, model, curve and density, over the `n` networks for which it is known.

    `num_disconnected` of them have none, which is 0 in the mean; `effective_compression_ratio` is 1 / mean, null where
    that is 0; `useful_share` is mean / density. `num_collapsed` of the n have an empty layer. `num_absent` networks
    failed, are missing or were written before it was recorded.
    """
    effective = pl.col("effective_density")
    known = effective.is_not_null()
    return (
        networks.table(results)
        .group_by(*MODEL, "curve", "density")
        .agg(
            known.sum().cast(pl.Int64).alias("n"),
            effective.mean().alias("mean_effective_density"),
            effective.min().alias("min_effective_density"),
            effective.max().alias("max_effective_density"),
            (effective == 0).sum().cast(pl.Int64).alias("num_disconnected"),
            (known & pl.col("collapsed")).sum().cast(pl.Int64).alias("num_collapsed"),
            (~known).sum().cast(pl.Int64).alias("num_absent"),
        )
        .with_columns(
            compression_ratio=1 / pl.col("density"),
            effective_compression_ratio=pl.when(pl.col("mean_effective_density") > 0).then(
                1 / pl.col("mean_effective_density")
            ),
            useful_share=pl.col("mean_effective_density") / pl.col("density"),
        )
        .select(
            *MODEL, "curve", "density", "compression_ratio", "n",
            "mean_effective_density", "min_effective_density", "max_effective_density",
            "effective_compression_ratio", "useful_share", "num_disconnected", "num_collapsed", "num_absent",
        )
        .sort(*MODEL, "curve", "compression_ratio")
    )  # fmt: skip


def plot(effective: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of a collected `table` beside each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(effective["curve"])
    panels = [
        panel(rows, palette, title=f"{model} on {dataset}", width=380)
        for (dataset, model), rows in effective.partition_by(MODEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """Effective against direct compression, both in decades, with the diagonal on which every kept weight is of use.

    A band spans the networks. Where none is connected there is no point; where some are not, the band is open above.
    """
    texts = sparsity_texts(rows["density"])
    shown = rows.filter(pl.col("effective_compression_ratio").is_not_null())
    largest = max([1.5, *(1 / rows["density"]), *shown["effective_compression_ratio"]])
    shown = shown.with_columns(
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
        effective_text=pl.col("mean_effective_density").map_elements(
            lambda density: sparsity_text(density, 3), return_dtype=pl.String
        ),
        range_text=pl.format(
            "{} to {} %", *((100 * pl.col(f"{end}_effective_density")).round_sig_figs(3) for end in ("min", "max"))
        ),
        disconnected_text=pl.format("{} of {}", "num_disconnected", "n"),
        low=1 / pl.col("max_effective_density"),
        high=(1 / pl.col("min_effective_density")).clip(upper_bound=largest),
    )
    x = sparsity_axis(rows["density"])
    axis = sparsity_axis([1 / largest])
    scale = alt.Scale(type="log", domain=[1, largest], nice=False)
    y = alt.Y("effective_compression_ratio:Q", title="effective sparsity", axis=axis["axis"], scale=scale)
    legend: Any = None if width == "container" else alt.Legend(title=None, symbolOpacity=1, labelLimit=0)
    ends = [1.0, max([1.5, *(1 / rows["density"])])]
    diagonal = (
        alt.Chart(
            alt.InlineData(values=[{"compression_ratio": end, "effective_compression_ratio": end} for end in ends])
        )
        .mark_line(strokeDash=[3, 3], strokeWidth=1, color="#888888")
        .encode(x=x, y=y)
    )
    base = alt.Chart().encode(x=x)
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=legend)
    band = base.mark_area(opacity=0.1, clip=True).encode(
        y=alt.Y("low:Q", scale=scale, axis=axis["axis"], title="effective sparsity"), y2="high:Q", color=colour
    )
    line = base.mark_line(strokeWidth=1.8).encode(
        y=y,
        color=colour,
        strokeDash=alt.StrokeDash("curve:N", scale=palette.dash_scale(), legend=legend),
    )
    marks = base.mark_point(size=46, filled=True, opacity=1).encode(
        y=y,
        color=colour,
        shape=alt.Shape("curve:N", scale=palette.shape_scale(), legend=legend),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("effective_text:N", title="effective sparsity (mean)"),
            alt.Tooltip("range_text:N", title="effective density"),
            alt.Tooltip("useful_share:Q", title="of use among the kept", format=".1%"),
            alt.Tooltip("n:Q", title="networks (n)"),
            alt.Tooltip("disconnected_text:N", title="disconnected"),
            alt.Tooltip("num_absent:Q", title="failed or missing"),
        ],
    )
    # data belong to the whole, not to the layers, so that a filter put on the whole reaches them
    data = inline(shown)
    return alt.LayerChart(data=data, layer=[diagonal, band, line, marks], width=width, height=320, title=title)
