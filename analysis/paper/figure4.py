"""Figure 4: is a layer's mean score inversely proportional to its size?

A panel a pruner, a dot a layer: mean score against 1 / weights, both logarithmic. Where every layer's total is the
same, the dots lie on a line of slope 1.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from analysis.inline_data import inline
from analysis.paper.figure3 import CONSERVED, CONSERVES
from analysis.paper.missing import missing_points
from analysis.paper.setting import COLUMNS, IMAGENET, Setting, imagenet_cause
from analysis.paper.tables import Tables, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point
from analysis.scan import Trials
from analysis.trial_key import TRIAL

MEASURE = "largest |layer's score - mean| / mean"


def tables(store: Trials) -> Tables:
    """`layers`: a layer of a network at initialisation a row, with its first round's mean score."""
    completed = store.results.filter((pl.col("status") == "completed") & (pl.col("density") < 1))
    settings = completed.select(*TRIAL, "curve", "pruner", "density", *COLUMNS, seed="seed_init").unique()
    layers = (
        store.layers.filter(pl.col("is_layer").fill_null(True) & pl.col("initial_score_sum").is_not_null())
        .select(*TRIAL, "layer", "position", "num_weights", "initial_score_sum")
        .join(settings, on=TRIAL)
        .with_columns(
            inverse_size=1 / pl.col("num_weights"), mean_score=pl.col("initial_score_sum") / pl.col("num_weights")
        )
        .drop(TRIAL)
        .sort("curve", "seed", "density", "position")
    )
    return {"layers": layers.collect()}


def points(found: Tables) -> list[Point]:
    """How far the layers' totals are from their mean, at most: 0 where the mean score goes with 1 / size."""
    total = pl.col("initial_score_sum")
    away = ((total - total.mean()).abs().max() / total.mean().abs()).alias("away")
    return [
        Point(
            figure="4",
            point=curve,
            measure=MEASURE,
            rule=CONSERVED,
            ours=tuple(rows.group_by("density", "seed").agg(away).group_by("seed").agg(pl.col("away").max())["away"]),
            theirs=(0.0,) if rows["pruner"][0] in CONSERVES else (),
            cause=imagenet_cause(rows["pruner"][0], rows),
        )
        for (curve,), rows in rows_of(found["layers"], ["curve"]).items()
    ] + missing_points("4", MEASURE, CONSERVED, found["layers"]["pruner"])


def plot(found: Tables) -> alt.ConcatChart:
    """The seed with the lowest number, at its highest density: scores are those before the first cut."""
    first = (pl.col("seed") == pl.col("seed").min().over("curve")) & (
        pl.col("density") == pl.col("density").max().over("curve")
    )
    rows = found["layers"].filter(first)
    return alt.concat(
        *(panel(of_curve, curve, IMAGENET) for (curve,), of_curve in rows_of(rows, ["curve"]).items()), columns=3
    )


def panel(layers: pl.DataFrame, title: str, setting: Setting) -> alt.LayerChart:
    """Layers' mean scores, in absolute value, against 1 / size, with the line on which all totals are their mean's."""
    shown = layers.select("layer", "inverse_size", mean_score=pl.col("mean_score").abs()).filter(
        pl.col("mean_score") > 0
    )
    total = (layers["mean_score"] / layers["inverse_size"]).abs().mean()
    line = shown.select("inverse_size", mean_score=pl.col("inverse_size") * total).sort("inverse_size")
    axis = alt.Axis(format=".0e", tickCount=4, grid=False)
    x = alt.X("inverse_size:Q", title="1 / weights of the layer", scale=alt.Scale(type="log"), axis=axis)
    y = alt.Y("mean_score:Q", title="mean score", scale=alt.Scale(type="log"), axis=axis)
    dots = alt.Chart(inline(shown)).mark_point(filled=True, size=44).encode(x=x, y=y)
    slope = alt.Chart(inline(line)).mark_line(strokeDash=[5, 4], color="#888888")
    return alt.LayerChart(
        layer=[slope.encode(x=x, y=y), dots], width=230, height=210, title=titled(title, layers, setting)
    )
