"""Figure 5b: does training make the squared weights of a layer inversely proportional to its size?

A panel before training and one after: a dot a layer, mean squared weight against 1 / weights, both logarithmic.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl

from analysis.paper import figure4
from analysis.paper.setting import Setting
from analysis.paper.tables import Tables, rows_of
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials
from analysis.trial_key import TRIAL

SETTING = Setting(datasets=(("cifar10", "{}"),), model="vgg19", epochs=100)
SQUARED = '{"power":2}'
"""The pruner's options under which a score is a squared weight."""


def tables(store: Trials) -> Tables:
    """`layers`: as figure 4's, with `pre_epochs`, the epochs trained before the weights were looked at."""
    stages = store.results.filter(pl.col("pruner_options") == SQUARED).select(*TRIAL, "curve", "pre_epochs").unique()
    squared = store.results.join(stages.select(TRIAL), on=TRIAL, how="semi")
    found = figure4.tables(Trials(**(vars(store) | {"results": squared})))["layers"]
    curves = stages.select("curve", "pre_epochs").unique().collect()
    return {"layers": found.join(curves, on="curve").sort("pre_epochs", "seed", "density", "position")}


def points(found: Tables) -> list[Point]:
    """The slope of log mean squared weight over log 1 / size: 1 where layers have one total. None was published."""
    return [
        Point(
            figure="5b",
            point=f"after {epochs} epochs",
            measure="slope of log mean squared weight over log 1 / size",
            rule=Rule(kind="mean"),
            ours=tuple(slope(one) for one in rows_of(rows, ["seed"]).values()),
            cause=SETTING.cause(rows),
        )
        for (epochs,), rows in rows_of(found["layers"], ["pre_epochs"]).items()
    ]


def slope(layers: pl.DataFrame) -> float:
    """The least-squares slope through the layers of one network."""
    x, y = (np.log10(layers[name].to_numpy()) for name in ("inverse_size", "mean_score"))
    return float(np.polyfit(x, y, 1)[0])


def plot(found: Tables) -> alt.ConcatChart:
    """The seed with the lowest number."""
    rows = found["layers"].filter(pl.col("seed") == pl.col("seed").min())
    panels = [
        figure4.panel(of_stage, f"after {epochs} epochs", SETTING)
        for (epochs,), of_stage in rows_of(rows, ["pre_epochs"]).items()
    ]
    return alt.concat(*panels, columns=3)
