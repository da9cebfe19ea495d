"""Figure 3: is the score into a hidden unit the score out of it?

The paper draws a dot a unit, in against out. A store keeps the largest relative difference over the units of each
layer, which is drawn here: a panel a pruner, a dot a layer. The paper's diagonal is a difference of 0.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from analysis.inline_data import inline
from analysis.paper.setting import COLUMNS, imagenet_cause
from analysis.paper.tables import Tables, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials
from analysis.trial_key import TRIAL

CONSERVED = Rule(kind="law", tolerance=1e-10)
"""Of scores in float64."""
LOWEST = 1e-17
"""Where the axis ends: a difference can be exactly 0."""
CONSERVES = ("synflow",)
"""Pruners of which it is proved for what is measured here: scores that weights are ranked by, biases not scored.

SNIP's are without their sign. GraSP's and SNIP's law counts the scores of biases, which the published figure adds.
"""


def tables(store: Trials) -> Tables:
    """`units`: a layer of a network scored once, at initialisation, a row."""
    scored = store.results.filter((pl.col("status") == "completed") & (pl.col("iterations") == 1))
    settings = scored.select(*TRIAL, "curve", "pruner", "score_dtype", "density", *COLUMNS, seed="seed_init").unique()
    units = (
        store.layers.filter(pl.col("unit_conservation_error").is_not_null())
        .select(*TRIAL, "layer", "position", "unit_conservation_error")
        .join(settings, on=TRIAL)
        .drop(TRIAL)
        .sort("curve", "seed", "density", "position")
    )
    return {"units": units.collect()}


def points(found: Tables) -> list[Point]:
    """The largest difference over all hidden units, relative to the larger of the two."""
    return [
        Point(
            figure="3",
            point=curve,
            measure="largest |in - out| / larger, over units",
            rule=CONSERVED,
            ours=tuple(rows.group_by("seed").agg(pl.col("unit_conservation_error").max())["unit_conservation_error"]),
            theirs=(0.0,) if rows["pruner"][0] in CONSERVES else (),
            cause=imagenet_cause(rows["pruner"][0], rows),
        )
        for (curve,), rows in rows_of(found["units"], ["curve"]).items()
    ]


def plot(found: Tables) -> alt.ConcatChart:
    """The seed with the lowest number."""
    units = found["units"].filter(pl.col("seed") == pl.col("seed").min().over("curve"))
    return alt.concat(*(_panel(rows, curve) for (curve,), rows in rows_of(units, ["curve"]).items()), columns=3)


def _panel(units: pl.DataFrame, title: str) -> alt.Chart:
    shown = units.select(
        number=pl.col("position").rank("dense"), error=pl.max_horizontal("unit_conservation_error", pl.lit(LOWEST))
    )
    return (
        alt.Chart(inline(shown), title=titled(title, units), width=230, height=180)
        .mark_point(filled=True, size=40)
        .encode(
            x=alt.X("number:Q", title="hidden layer, input to output", axis=alt.Axis(grid=False, tickMinStep=1)),
            y=alt.Y(
                "error:Q",
                title="largest |in − out| / larger",
                scale=alt.Scale(type="log", domain=[LOWEST, 10]),
                axis=alt.Axis(format=".0e", tickCount=5),
            ),
        )
    )
