"""How far can a pruner go before a layer is empty? Critical against maximal compression.

Critical compression lies somewhere between two points of the grid, so it is an interval: from the largest compression
before a network's first collapse to that of the first collapse. Either end can be out of sight. Where the sparsest
point has every layer, the upper end is open (censored on the right). Where the first pruned point is collapsed already,
the lower end is that of the unpruned network, 1, and nothing was measured in between (censored on the left).

A network can collapse and have every layer again at a higher compression: pruners that score anew are not monotone. The
interval is that of the first collapse; such networks are counted, and how far they come is reported beside.

Maximal compression, prunable weights / prunable layers, leaves one weight a layer: no pruner reaches further without
collapse (Tanaka et al. 2020).
"""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from analysis import networks as networks_room
from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.networks import IDENTITY, MODEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_text

ROW_PIXELS = 26


def networks(results: pl.LazyFrame) -> pl.LazyFrame:
    """Critical compression of each network, by data set, model, curve and seeds.

    `critical_low` and `critical_high` bound it, as compression ratios: `critical_high` is null where the grid has no
    collapse (`is_right_censored`), `critical_low` is 1 where it has nothing else (`is_left_censored`), and both are
    null where nothing was pruned. `largest_without` is the largest compression of the grid without collapse, beyond
    `critical_low` by `num_revived` grid points where collapse is not monotone. `below_maximal_low` and
    `below_maximal_high` are decades of compression from the interval's ends up to `max_compression_ratio`, so the
    first is the larger. `num_absent` points of the grid failed or are missing: one inside the interval widens it.
    """
    density, sees_collapse = pl.col("density"), pl.col("collapsed")
    first = density.filter(sees_collapse).max()
    without = density.filter(~sees_collapse)
    before = density.filter(~sees_collapse & (density > first.fill_null(0.0)))
    maximal = pl.col("max_compression_ratio")
    return (
        networks_room.table(results.filter(density < 1))
        .group_by(IDENTITY)
        .agg(
            pl.col("pruned").any(),
            (1 / before.min()).fill_null(1.0).alias("critical_low"),
            (1 / first).alias("critical_high"),
            (1 / without.min()).alias("largest_without"),
            (before.len() > 0).alias("has_point_before"),
            (~sees_collapse & (density < first)).sum().cast(pl.Int64).alias("num_revived"),
            maximal.max(),
            (~pl.col("pruned")).sum().cast(pl.Int64).alias("num_absent"),
        )
        .with_columns(critical_low=pl.when("pruned").then("critical_low"))
        .with_columns(
            below_maximal_low=(maximal / pl.col("critical_low")).log10(),
            below_maximal_high=(maximal / pl.col("critical_high")).log10(),
            is_left_censored=pl.col("critical_high").is_not_null() & ~pl.col("has_point_before"),
            is_right_censored=pl.col("pruned") & pl.col("critical_high").is_null(),
        )
        .select(
            *IDENTITY, "critical_low", "critical_high", "is_left_censored", "is_right_censored",
            "largest_without", "num_revived", "max_compression_ratio", "below_maximal_low", "below_maximal_high",
            "num_absent",
        )
        .sort(IDENTITY)
    )  # fmt: skip


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Critical compression over the `n` networks of a data set, model and curve, as compression ratios.

    `median_low` and `median_high` are medians of the intervals' ends, in decades; `median_high` is null where it lies
    beyond the grid. `lowest` is the smallest `critical_low`, `highest` the largest `critical_high`, null where some
    network has none. `num_left_censored`, `num_right_censored` and `num_not_monotone` are of the n; `largest_without`
    is the largest compression at which any of them has every layer. `num_absent` networks have no result at all, and
    `num_points_absent` points of the grids of all failed or are missing.
    """
    measured = pl.col("critical_low").is_not_null()
    beyond = float("inf")
    high = pl.when(measured).then(pl.col("critical_high").fill_null(beyond))
    bounds = {
        "median_low": pl.col("critical_low").log10().median(),
        "median_high": high.log10().median(),
    }
    maximal = pl.col("max_compression_ratio")
    return (
        networks(results)
        .group_by(*MODEL, "curve")
        .agg(
            measured.sum().cast(pl.Int64).alias("n"),
            *((10**exponent).alias(name) for name, exponent in bounds.items()),
            pl.col("critical_low").min().alias("lowest"),
            high.max().alias("highest"),
            *(
                pl.col(f"is_{side}_censored").sum().cast(pl.Int64).alias(f"num_{side}_censored")
                for side in ("left", "right")
            ),
            (pl.col("num_revived") > 0).sum().cast(pl.Int64).alias("num_not_monotone"),
            pl.col("largest_without").max(),
            maximal.max(),
            (~measured).sum().cast(pl.Int64).alias("num_absent"),
            pl.col("num_absent").sum().alias("num_points_absent"),
        )
        .with_columns(
            pl.when(pl.col("median_high", "highest").is_finite()).then(pl.col("median_high", "highest")),
        )
        .with_columns(
            below_maximal_low=(maximal / pl.col("median_low")).log10(),
            below_maximal_high=(maximal / pl.col("median_high")).log10(),
        )
        .select(
            *MODEL, "curve", "n", "median_low", "median_high", "lowest", "highest",
            "num_left_censored", "num_right_censored", "num_not_monotone", "largest_without",
            "max_compression_ratio", "below_maximal_low", "below_maximal_high", "num_absent", "num_points_absent",
        )
        .sort(*MODEL, "curve")
    )  # fmt: skip


def plot(critical: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of a collected `table` below each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(critical["curve"])
    panels = [
        panel(rows, palette, title=f"{model} on {dataset}", width=480)
        for (dataset, model), rows in critical.partition_by(MODEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=1)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """A row a curve: the median interval as a bar, the range over networks as a line, maximal compression as a rule.

    An arrow head stands where an interval goes on beyond the grid.
    """
    seen = rows.filter(pl.col("n") > 0)
    last = max([1.5, *(value for name in ("median_high", "highest", "max_compression_ratio", "largest_without")
                       for value in seen[name].drop_nulls())])  # fmt: skip
    ends = {
        f"{name}_shown": pl.col(name).fill_null(last) for name in ("median_high", "highest")
    }  # an open end is drawn to the frame
    shown = seen.with_columns(
        **ends,
        interval_text=pl.format("{} to {}", _text("median_low"), _text("median_high", "beyond the grid")),
        range_text=pl.format("{} to {}", _text("lowest"), _text("highest", "beyond the grid")),
        maximal_text=_text("max_compression_ratio"),
        censored_text=pl.format("{} left, {} right", "num_left_censored", "num_right_censored"),
    )
    curves = [curve for curve in palette.curves if curve in set(rows["curve"])]
    axis = sparsity_axis([1 / last])
    domain = alt.Scale(type="log", domain=[1, last], nice=False)
    y = alt.Y(
        "curve:N",
        title=None,
        scale=alt.Scale(domain=curves, paddingInner=0.1),
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )
    base = alt.Chart(inline(shown)).encode(
        y=y,
        color=alt.Color("curve:N", scale=palette.colour_scale(), legend=None),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("interval_text:N", title="critical sparsity, median"),
            alt.Tooltip("range_text:N", title="over networks"),
            alt.Tooltip("maximal_text:N", title="maximal compression"),
            alt.Tooltip("n:Q", title="networks (n)"),
            alt.Tooltip("censored_text:N", title="censored"),
            alt.Tooltip("num_not_monotone:Q", title="collapse, then none"),
            alt.Tooltip("num_absent:Q", title="failed or missing"),
        ],
    )
    x = alt.X("median_low:Q", title=axis["title"], axis=axis["axis"], scale=domain)
    span = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("lowest:Q", scale=domain), x2="highest_shown:Q")
    bars = base.mark_bar(height=9, cornerRadius=3).encode(x=x, x2="median_high_shown:Q")
    arrows = (
        base.transform_filter("datum.num_right_censored > 0")
        .mark_point(shape="triangle-right", filled=True, size=150, opacity=1, xOffset=-5)
        .encode(x=alt.X("highest_shown:Q", scale=domain))
    )
    maximal = base.mark_tick(thickness=2, height=ROW_PIXELS - 4).encode(
        x=alt.X("max_compression_ratio:Q", scale=domain), color=alt.value("#888888")
    )
    return alt.LayerChart(
        layer=[span, bars, arrows, maximal], width=width, height=ROW_PIXELS * len(curves), title=title
    )


def _text(column: str, otherwise: str = "–") -> pl.Expr:
    """A compression ratio, read as sparsity."""
    return (
        pl.col(column)
        .map_elements(lambda ratio: sparsity_text(1 / ratio, 3), return_dtype=pl.String)
        .fill_null(otherwise)
    )
