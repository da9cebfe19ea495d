"""Can a tenth of a sweep predict the rest? The joint law, fitted to few points and held against all others.

Which tenth: the usable points of a family are put in order of density, then width, then depth, and cut into equal
stretches, as many as points are to be fitted; from each, a generator of seed 0 draws one. So the few span the
densities, and anyone draws the same. Where a tenth is less than the law can be fitted to, that many are drawn
(`num_fitted` says so); where fewer would then be held out than fitted, nothing is predicted. The error of each unpruned
network is known to the law, as in the paper: it is measured once for all pruners.

An interval is for one new mean of as many trials: it holds the scatter of the fitted points around the law and the
uncertainty of the constants. Its coverage, the share of held-out means inside, should be near 95 %.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import altair as alt
import numpy as np
import polars as pl

from analysis.accuracy import panel_title
from analysis.inline_data import inline
from analysis.laws import form, joint
from analysis.laws.points import FAMILY
from analysis.laws.power import ERROR_AXIS
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts

SHARE = 0.1
"""Of a family's points that are fitted."""
SEED = 0
MOST_POINTS = 500
"""Of a chart: more lie on each other."""

_POINT = ["dataset_label", "family", "training_label", "curve", "model_label", "width", "depth", "density", "n"]
_PREDICTED = ["measured_error", "predicted_error", "predicted_low", "predicted_high", "relative_error"]


def predictions(points: pl.DataFrame) -> pl.DataFrame:
    """Every held-out point of a collected `points.table`, by family, dense to sparse.

    `measured_error` is the mean of `n` trials; `predicted_error` is the law's, with its 95 % interval `predicted_low`
    to `predicted_high`, `relative_error` = predicted / measured - 1, `is_inside` whether the interval holds what was
    measured. `num_fitted` points of the family were fitted.
    """
    families = [_held_out(family) for family in points.partition_by(FAMILY, maintain_order=True)]
    order = [*FAMILY, "density", "width", "depth"]
    return pl.concat([_none(points), *families]).sort(
        order, descending=[name == "density" for name in order], maintain_order=True
    )


def table(points: pl.DataFrame, predicted: pl.DataFrame) -> pl.DataFrame:
    """One row a family of a collected `points.table`: how well `num_fitted` of its `num_points` predict the others.

    From `predictions` of the same points: mean, standard deviation and largest absolute value of the relative error,
    the measure of the paper, over `num_predicted` points; `coverage` = `num_inside` / `num_predicted`. `refused` says
    why nothing was predicted.
    """
    families = [
        dict(zip(FAMILY, family, strict=True)) | {"num_points": usable.height, "refused": _refusal(usable)}
        for family, members in points.partition_by(FAMILY, as_dict=True).items()
        for usable in [joint.usable(members)]
    ]
    relative, inside = pl.col("relative_error"), pl.col("is_inside")
    found = predicted.group_by(FAMILY).agg(
        pl.col("num_fitted").first(),
        pl.len().cast(pl.Int64).alias("num_predicted"),
        relative.mean().alias("mean_relative_error"),
        relative.std().alias("deviation_relative_error"),
        relative.abs().max().alias("largest_relative_error"),
        inside.sum().cast(pl.Int64).alias("num_inside"),
        inside.mean().alias("coverage"),
    )
    schema = {**dict.fromkeys(FAMILY, pl.String), "num_points": pl.Int64, "refused": pl.String}
    return (
        pl.DataFrame(families, schema=schema)
        .join(found, on=FAMILY, how="left")
        .with_columns(
            refused=pl.when(pl.col("num_predicted").is_null()).then(
                pl.col("refused").fill_null("the points drawn do not tell where the law begins and how steep it is")
            )
        )
        .select(*FAMILY, "num_points", *found.columns[len(FAMILY) :], "refused")
        .sort(FAMILY)
    )


def plot(predicted: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All families of collected `predictions` beside each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(predicted["curve"])
    panels = [
        panel(rows, palette, title=panel_title(key), width=320)
        for key, rows in predicted.partition_by(FAMILY[:-1], as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """Predicted against measured error, both in decades, with the intervals; on the line they are the same.

    Of many points every k-th (`drawn`).
    """
    columns = ["curve", "model_label", "sparsity_text", "n", "measured_error", *_PREDICTED[1:4]]
    shown = (
        rows.with_columns(
            sparsity_text=pl.col("density").replace_strict(sparsity_texts(rows["density"]), return_dtype=pl.String)
        )
        .select(columns)
        .gather_every(_step(rows))
    )
    errors = rows.select("measured_error", "predicted_error").to_numpy()
    scale = alt.Scale(type="log", domain=[float(0.9 * errors.min()), float(1.1 * errors.max())], nice=False)
    x = alt.X("measured_error:Q", title="measured test error", axis=ERROR_AXIS, scale=scale)
    y = alt.Y("predicted_error:Q", title="predicted", axis=ERROR_AXIS, scale=scale)
    legend: Any = None if width == "container" else alt.Legend(title=None, symbolOpacity=1, labelLimit=0)
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=legend)
    base = alt.Chart()
    same = base.mark_line(color="#888888", strokeWidth=1, strokeDash=[3, 3]).encode(
        x=x, y=alt.Y("measured_error:Q", scale=scale)
    )
    interval = base.mark_rule(opacity=0.25, clip=True).encode(
        x=x, y=alt.Y("predicted_low:Q", scale=scale), y2="predicted_high:Q", color=colour
    )
    marks = base.mark_point(size=26, strokeWidth=1.4, opacity=0.9).encode(
        x=x,
        y=y,
        color=colour,
        shape=alt.Shape("curve:N", scale=palette.shape_scale(), legend=None),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("model_label:N", title="model"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("measured_error:Q", title="measured", format=".2%"),
            alt.Tooltip("predicted_error:Q", title="predicted", format=".2%"),
            alt.Tooltip("predicted_low:Q", title="interval from", format=".2%"),
            alt.Tooltip("predicted_high:Q", title="to", format=".2%"),
            alt.Tooltip("n:Q", title="runs (n)"),
        ],
    )
    data = inline(shown)
    return alt.LayerChart(data=data, layer=[same, interval, marks], width=width, height=320, title=title)


def drawn(rows: pl.DataFrame) -> str:
    """How many of the rows `panel` draws, in words; nothing if it is all."""
    step = _step(rows)
    return "" if step == 1 else f"{len(range(0, rows.height, step)):,} of {rows.height:,} points"


def _step(rows: pl.DataFrame) -> int:
    return max(1, math.ceil(rows.height / MOST_POINTS))


def _held_out(points: pl.DataFrame) -> pl.DataFrame:
    """The predictions of one family; none where the law cannot be fitted."""
    usable = joint.usable(points)
    if _refusal(usable):
        return _none(points)
    ordered = usable.sort("density", "width", "depth", descending=[True, False, False])
    generator, num_fitted = np.random.default_rng(SEED), _num_fitted(usable)
    drawn = [generator.choice(stretch) for stretch in np.array_split(np.arange(ordered.height), num_fitted)]
    is_fitted = np.isin(np.arange(ordered.height), drawn)
    try:
        law = joint.fit(ordered.filter(is_fitted))
    except ValueError:
        return _none(points)
    held_out = ordered.filter(~is_fitted)
    error, low, high = law.predict(form.Networks.of(held_out))
    return held_out.select(*_POINT, measured_error="error").with_columns(
        predicted_error=pl.Series(error),
        predicted_low=pl.Series(low),
        predicted_high=pl.Series(high),
        relative_error=pl.Series(error) / pl.col("measured_error") - 1,
        is_inside=pl.col("measured_error").is_between(pl.Series(low), pl.Series(high)),
        num_fitted=pl.lit(num_fitted, dtype=pl.Int64),
    )


def _num_fitted(usable: pl.DataFrame) -> int:
    return max(math.ceil(SHARE * usable.height), joint.fewest_points(usable))


def _refusal(usable: pl.DataFrame) -> str | None:
    num_fitted = _num_fitted(usable)
    if usable.height >= 2 * num_fitted:
        return None
    return f"{usable.height} points: {num_fitted} are needed for a fit, and as many to hold against it"


def _none(points: pl.DataFrame) -> pl.DataFrame:
    return points.head(0).select(
        *_POINT,
        *(pl.lit(None, dtype=pl.Float64).alias(name) for name in _PREDICTED),
        is_inside=pl.lit(None, dtype=pl.Boolean),
        num_fitted=pl.lit(None, dtype=pl.Int64),
    )
