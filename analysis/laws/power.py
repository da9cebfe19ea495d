"""How fast does the test error rise as weights are removed? A power law for each curve.

Between the error of the dense network and that of guessing, the error of pruned networks is close to

    error(d) = c d^-gamma        d: density, gamma: exponent

with a plateau on either side (Rosenfeld et al. 2021, figure 1; `joint` fits plateaus and law together). The law is
fitted where the error is at least 1.5 times the dense network's and at most 1 / 1.5 of guessing's: least squares on log
error against log density, every density once. The exponent's 95 % interval is Student's t with points - 2 degrees of
freedom: exact if log errors scatter normally around the law, and then so are the residuals, which are relative errors.
Where no dense network completed, the curve's smallest error stands for its error.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import polars as pl

from analysis.accuracy import CONFIDENCE, panel_title, paper
from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts
from analysis.student import quantile

CLEAR = 1.5
"""Factor that separates the law from a plateau: at the bends of the joint form the error is 2^(gamma / 2) off."""
FEWEST_POINTS = 4

ERROR_AXIS = alt.Axis(
    labelExpr="format(100 * datum.value, '~r') + ' %'", values=[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
)
"""Of errors in decades."""

_CURVE = [*PANEL, "curve"]


def regions(points: pl.LazyFrame) -> pl.LazyFrame:
    """`points.table` with `region`: "dense plateau", "law", "guessing plateau", or "no error".

    No error: n = 0, or an error of 0. Unpruned networks are in the dense plateau.
    """
    known = pl.when(pl.col("error") > 0).then("error")
    dense = pl.coalesce("dense_error", known.min().over(_CURVE))
    return points.with_columns(
        region=pl.when(known.is_null())
        .then(pl.lit("no error"))
        .when((pl.col("density") == 1) | (known < CLEAR * dense))
        .then(pl.lit("dense plateau"))
        .when(known > pl.col("guessing_error") / CLEAR)
        .then(pl.lit("guessing plateau"))
        .otherwise(pl.lit("law"))
    )


def fitted(points: pl.LazyFrame) -> pl.LazyFrame:
    """`regions` with the curve's law: `exponent`, `coefficient`, `num_points` it was fitted to; null below four points.

    In its region also `law_error`, and `residual`, the log of `error` / `law_error`.
    """
    in_law = pl.col("region") == "law"
    x, y = (pl.when(in_law).then(log) for log in (-pl.col("density").log(), pl.col("error").log()))
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    law = pl.col("coefficient") * pl.col("density") ** -pl.col("exponent")
    return (
        regions(points)
        .with_columns(num_points=in_law.sum().over(_CURVE).cast(pl.Int64))
        .with_columns(
            pl.when(pl.col("num_points") >= FEWEST_POINTS).then(constant.over(_CURVE)).alias(name)
            for name, constant in (("exponent", slope), ("coefficient", (y.mean() - slope * x.mean()).exp()))
        )
        .with_columns(law_error=pl.when(in_law).then(law))
        .with_columns(residual=(pl.col("error") / pl.col("law_error")).log())
    )


def table(points: pl.LazyFrame) -> pl.LazyFrame:
    """One row a curve: the law fitted to its `num_points` points between `densest` and `sparsest`.

    `exponent` with its interval `exponent_low` to `exponent_high`, `coefficient` c, `rms_residual` (root of the
    residual variance of log error) and `largest_residual` (absolute). Not fitted: `num_dense_plateau`,
    `num_guessing_plateau` and `num_no_error` points, `num_collapsed` and
    `num_absent` trials. With fewer than four points the law is null, and `refused` says so.
    """
    in_law = pl.col("region") == "law"
    log_density, residual = pl.col("density").log().filter(in_law), pl.col("residual").filter(in_law)
    freedom = pl.col("num_points") - 2
    margin = quantile(freedom, CONFIDENCE) * pl.col("rms_residual") / pl.col("spread").sqrt()
    return (
        fitted(points)
        .group_by(_CURVE)
        .agg(
            pl.col("exponent", "coefficient", "num_points").first(),
            *(
                (pl.col("region") == region).sum().cast(pl.Int64).alias(f"num_{region.replace(' ', '_')}")
                for region in ("dense plateau", "guessing plateau", "no error")
            ),
            pl.col("num_collapsed", "num_absent").sum(),
            pl.col("density").filter(in_law).max().alias("densest"),
            pl.col("density").filter(in_law).min().alias("sparsest"),
            residual.abs().max().alias("largest_residual"),
            (residual**2).sum().alias("squares"),
            ((log_density - log_density.mean()) ** 2).sum().alias("spread"),
        )
        .with_columns(rms_residual=pl.when(pl.col("exponent").is_not_null()).then((pl.col("squares") / freedom).sqrt()))
        .with_columns(
            exponent_low=pl.col("exponent") - margin,
            exponent_high=pl.col("exponent") + margin,
            refused=pl.when(pl.col("exponent").is_null()).then(
                pl.format(
                    "{} of at least {} points needed are clear of both plateaus", "num_points", pl.lit(FEWEST_POINTS)
                )
            ),
        )
        .select(
            *_CURVE,
            "exponent", "exponent_low", "exponent_high", "coefficient", "rms_residual", "largest_residual",
            "num_points", "densest", "sparsest",
            "num_dense_plateau", "num_guessing_plateau", "num_no_error", "num_collapsed", "num_absent", "refused",
        )
        .sort(_CURVE)
    )  # fmt: skip


def plot(points: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of collected `fitted` points beside each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(points["curve"])
    panels = [
        panel(rows, palette, title=panel_title(key), width=380)
        for key, rows in points.partition_by(PANEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2).add_params(paper())


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """Error against compression, both in decades: points, hollow unless they were fitted, and the laws as lines.

    Reads the parameter `paper`, the colour behind hollow marks.
    """
    shown = rows.filter(pl.col("error") > 0).with_columns(
        compression_ratio=1 / pl.col("density"),
        sparsity_text=pl.col("density").replace_strict(sparsity_texts(rows["density"]), return_dtype=pl.String),
    )
    x = sparsity_axis(rows["density"])
    y_scale = alt.Scale(type="log", nice=False, padding=8)
    y = alt.Y("error:Q", title="test error", axis=ERROR_AXIS, scale=y_scale)
    legend: Any = None if width == "container" else alt.Legend(title=None, symbolOpacity=1, labelLimit=0)
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=legend)
    base = alt.Chart()
    line = base.transform_filter("isValid(datum.law_error)").mark_line(strokeWidth=1.8)
    marks = base.mark_point(size=46, strokeWidth=1.5, opacity=1).encode(
        x=x,
        y=y,
        stroke=alt.Stroke("curve:N", scale=palette.colour_scale(), legend=None),
        shape=alt.Shape("curve:N", scale=palette.shape_scale(), legend=None),
        fill=alt.condition(
            "!isValid(datum.law_error)",
            alt.value({"expr": "paper"}),
            alt.Fill("curve:N", scale=palette.colour_scale(), legend=None),
        ),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("error:Q", title="mean error", format=".2%"),
            alt.Tooltip("law_error:Q", title="law", format=".2%"),
            alt.Tooltip("n:Q", title="runs (n)"),
            alt.Tooltip("num_collapsed:Q", title="collapsed, left out"),
            alt.Tooltip("region:N"),
        ],
    )
    law = line.encode(x=x, y=alt.Y("law_error:Q", scale=y_scale), color=colour)
    columns = ["curve", "compression_ratio", "sparsity_text", "error", "law_error", "region", "n", "num_collapsed"]
    data = inline(shown.select(columns))
    return alt.LayerChart(data=data, layer=[law, marks], width=width, height=300, title=title)
