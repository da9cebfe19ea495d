"""Figure 3: is the score into a hidden unit the score out of it?

A panel a pruner, a dot a unit: score in against score out, both logarithmic, coloured by depth. Where the score is
conserved, the dots lie on the diagonal. Of each layer as many units are drawn as a small layer has, spread evenly over
its scores; the numbers are of all units.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from analysis.inline_data import inline
from analysis.paper.missing import missing_points
from analysis.paper.setting import COLUMNS, IMAGENET, imagenet_cause
from analysis.paper.tables import Tables, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials
from analysis.trial_key import TRIAL

CONSERVED = Rule(kind="law", tolerance=1e-10)
"""Of scores in float64."""
MEASURE = "largest |in - out| / larger, over units"
DOTS = 64
"""Units drawn of a layer, at most."""
CONSERVES = ("synflow",)
"""Pruners of which it is proved for what is measured here: scores that weights are ranked by, biases not scored.

SNIP's are without their sign. GraSP's and SNIP's law counts the scores of biases, which the published figure adds.
"""


def tables(store: Trials) -> Tables:
    """`layers`: a layer of a network scored once, at initialisation, a row. `units`: those of its units that are drawn.

    A store whose trials ran without `save_unit_scores` has no units.
    """
    scored = store.results.filter((pl.col("status") == "completed") & (pl.col("iterations") == 1))
    settings = scored.select(*TRIAL, "curve", "pruner", "score_dtype", "density", *COLUMNS, seed="seed_init").unique()
    found = (
        store.layers.filter(pl.col("unit_conservation_error").is_not_null())
        .select(*TRIAL, "layer", "position", "unit_conservation_error", "unit_scores_in", "unit_scores_out")
        .join(settings, on=TRIAL)
        .drop(TRIAL)
        .sort("curve", "seed", "density", "position")
        .collect()
    )
    scores = {"score_in": "unit_scores_in", "score_out": "unit_scores_out"}
    one_seed = pl.col("seed") == pl.col("seed").min().over("curve")
    units = (
        found.filter(one_seed & pl.col("unit_scores_in").is_not_null())
        .select("curve", "seed", "density", "layer", "position", **scores)
        .explode(*scores)
    )
    return {"layers": found.drop(scores.values()), "units": _spread(units)}


def _spread(units: pl.DataFrame) -> pl.DataFrame:
    """Of each layer all units, or `DOTS` of them, evenly by rank of the score that enters, the highest among them."""
    layer = ["curve", "seed", "density", "position"]
    rank, size = pl.int_range(pl.len()).over(layer), pl.len().over(layer)
    return units.sort(*layer, "score_in").filter((rank + 1) * DOTS // size != rank * DOTS // size)


def points(found: Tables) -> list[Point]:
    """The largest difference over all hidden units, relative to the larger of the two."""
    return [
        Point(
            figure="3",
            point=curve,
            measure=MEASURE,
            rule=CONSERVED,
            ours=tuple(rows.group_by("seed").agg(pl.col("unit_conservation_error").max())["unit_conservation_error"]),
            theirs=(0.0,) if rows["pruner"][0] in CONSERVES else (),
            cause=imagenet_cause(rows["pruner"][0], rows),
        )
        for (curve,), rows in rows_of(found["layers"], ["curve"]).items()
    ] + missing_points("3", MEASURE, CONSERVED, found["layers"]["pruner"])


def plot(found: Tables) -> alt.ConcatChart:
    """The seed with the lowest number."""
    units = found["units"]
    panels = (
        _panel(units.filter(pl.col("curve") == curve), layers, curve)
        for (curve,), layers in rows_of(found["layers"], ["curve"]).items()
    )
    return alt.concat(*panels, columns=3)


def _panel(units: pl.DataFrame, layers: pl.DataFrame, title: str) -> alt.LayerChart:
    """Scores in absolute value, with the diagonal."""
    shown = units.select(
        pl.col("score_in", "score_out").abs(), number=pl.col("position").rank("dense").cast(pl.Int64)
    ).filter((pl.col("score_in") > 0) & (pl.col("score_out") > 0))
    axis = alt.Axis(format=".0e", tickCount=4, grid=False)
    x = alt.X("score_in:Q", title="score in", scale=alt.Scale(type="log"), axis=axis)
    y = alt.Y("score_out:Q", title="score out", scale=alt.Scale(type="log"), axis=axis)
    depth = alt.Color("number:Q", title="hidden layer", scale=alt.Scale(scheme="viridis"))
    dots = alt.Chart(inline(shown)).mark_point(filled=True, size=14, opacity=0.7).encode(x=x, y=y, color=depth)
    ends = pl.concat([shown["score_in"], shown["score_out"]])
    diagonal = pl.DataFrame({"score_in": [ends.min(), ends.max()], "score_out": [ends.min(), ends.max()]})
    line = alt.Chart(inline(diagonal)).mark_line(strokeDash=[5, 4], color="#888888").encode(x=x, y=y)
    return alt.LayerChart(layer=[line, dots], width=230, height=210, title=titled(title, layers, IMAGENET))
