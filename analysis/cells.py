"""A chart of one row of cells a curve, one cell a sparsity: for shares, whose lines would lie on each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import altair as alt
import polars as pl

from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts

MOST_CELLS_WITH_TEXT = 13
"""Where the grid is finer, a cell on a phone has no room for "3/5": there it is in the tooltip alone."""
ROW_PIXELS = 26


def cells(
    rows: pl.DataFrame,
    palette: Palette,
    *,
    share: pl.Expr,
    shown: pl.Expr,
    text: pl.Expr,
    tooltip: list[alt.Tooltip],
    title: str = "",
    width: float | Literal["container"] = "container",
) -> alt.LayerChart:
    """The rows that are `shown` as cells, the fuller the larger `share` (0 to 1), with `text` inside if it is not null.

    Rows have `curve`, `density` and `compression_ratio`; those not shown keep their place. `tooltip` follows curve and
    sparsity.
    """
    densities = sorted(set(rows["density"]), reverse=True)
    edges = _edges([1 / density for density in densities])
    left, right = (dict(zip(densities, ends, strict=True)) for ends in (edges[:-1], edges[1:]))
    drawn = rows.filter(shown).with_columns(
        sparsity_text=pl.col("density").replace_strict(sparsity_texts(rows["density"]), return_dtype=pl.String),
        left=pl.col("density").replace_strict(left, return_dtype=pl.Float64),
        right=pl.col("density").replace_strict(right, return_dtype=pl.Float64),
        cell_opacity=0.1 + 0.8 * share,
        cell_text=text,
    )
    curves = [curve for curve in palette.curves if curve in set(rows["curve"])]  # a hidden one leaves its row empty
    axis = sparsity_axis(rows["density"])
    axis["axis"]["grid"] = False
    scale = alt.Scale(type="log", domain=[edges[0], edges[-1]], nice=False)
    y = alt.Y(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=curves, paddingInner=0.1),
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )
    told = [field.shorthand.partition(":")[0] for field in tooltip]
    columns = ["curve", "compression_ratio", "sparsity_text", "left", "right", "cell_opacity", "cell_text", *told]
    base = alt.Chart(inline(drawn.select(columns)))
    layers = [
        base.mark_rect(xOffset=1, x2Offset=-1, cornerRadius=3).encode(
            x=alt.X("left:Q", title=axis["title"], axis=axis["axis"], scale=scale),
            x2="right:Q",
            y=y,
            color=alt.Color("curve:N", scale=palette.colour_scale(), legend=None),
            fillOpacity=alt.FillOpacity("cell_opacity:Q", scale=None),
            tooltip=[alt.Tooltip("curve:N"), alt.Tooltip("sparsity_text:N", title="sparsity"), *tooltip],
        )
    ]
    if len(densities) <= MOST_CELLS_WITH_TEXT:
        written = base.transform_filter("isValid(datum.cell_text)").mark_text(fontSize=10.5)
        x = alt.X("compression_ratio:Q", scale=scale, axis=axis["axis"])
        layers.append(written.encode(x=x, y=y, text="cell_text:N"))
    return alt.LayerChart(layer=layers, width=width, height=ROW_PIXELS * len(curves), title=title)


def _edges(ratios: list[float]) -> list[float]:
    """Borders of the cells around sorted compression ratios: half-way to the neighbours, in decades."""
    if len(ratios) < 2:
        return [ratios[0] / 2, ratios[0] * 2] if ratios else []
    inner = [(a * b) ** 0.5 for a, b in pairwise(ratios)]
    return [ratios[0] ** 2 / inner[0], *inner, ratios[-1] ** 2 / inner[-1]]
