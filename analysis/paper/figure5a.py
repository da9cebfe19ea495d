"""Figure 5a: does iterative magnitude pruning need its iterations to avoid collapse?

Top-1 accuracy over compression, a line a number of trainings and prunings. Two panels: the weights never rewound, as
the published data were made, and rewound, as the method says.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from analysis import critical
from analysis.inline_data import inline
from analysis.networks import MODEL
from analysis.paper.setting import COLUMNS, Setting
from analysis.paper.tables import Tables, exponent, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials

SETTING = Setting(datasets=(("cifar10", "{}"),), model="vgg11_bn", epochs=50)
REWOUND = "the published data never rewound the weights"
TITLES = {"none": "not rewound, as published", "weights": "rewound"}
METHOD = ["rewind", "levels"]


def tables(store: Trials) -> Tables:
    """`accuracy`: a trial a row; `critical`: the critical exponent of each network of which no point is missing."""
    trials = store.results.filter((pl.col("status") == "completed") & (pl.col("density") < 1))
    curves = store.results.select(*MODEL, "curve", *METHOD, *COLUMNS).unique()
    networks = critical.networks(store.results).join(curves, on=[*MODEL, "curve"])
    reached = pl.col("critical_low").log10().round(6)
    return {
        "accuracy": trials.select(
            *METHOD, exponent().alias("compression_exponent"), "best_test_accuracy", "final_test_accuracy",
            "collapsed_layers", *COLUMNS, seed="seed_init",
        ).sort(*METHOD, "compression_exponent", "seed").collect(),
        "critical": networks.filter(pl.col("num_absent") == 0)
        .select(*METHOD, *COLUMNS, seed="seed_init", critical_exponent=reached).sort(*METHOD, "seed").collect(),
    }  # fmt: skip


def points(found: Tables) -> list[Point]:
    """The critical exponent of each number of levels; no number was published."""
    return [
        Point(
            figure="5a",
            point=f"{levels} levels, {TITLES.get(rewind, rewind)}",
            measure="critical compression exponent",
            rule=Rule(kind="grid", tolerance=0.1),
            ours=tuple(rows["critical_exponent"]),
            cause=REWOUND if rewind != "none" else SETTING.cause(rows),
        )
        for (rewind, levels), rows in rows_of(found["critical"], METHOD).items()
    ]


def plot(found: Tables) -> alt.ConcatChart:
    """The best accuracy over epochs, as the published figure; a hollow mark has an empty layer."""
    panels = (_panel(rows, rewind) for (rewind,), rows in rows_of(found["accuracy"], ["rewind"]).items())
    return alt.concat(*panels, columns=2)


def _panel(trials: pl.DataFrame, rewind: str) -> alt.LayerChart:
    best = pl.col("best_test_accuracy")
    cells = (
        trials.group_by("levels", "compression_exponent")
        .agg(best.mean().alias("mean"), is_whole=(pl.col("collapsed_layers") == 0).all())
        .sort("levels", "compression_exponent")
    )
    base = alt.Chart(inline(cells)).encode(
        x=alt.X("compression_exponent:Q", title="compression exponent", axis=alt.Axis(grid=False)),
        y=alt.Y("mean:Q", title="best test accuracy", axis=alt.Axis(format="%")),
        color=alt.Color("levels:O", title="levels", scale=alt.Scale(scheme="viridis")),
    )
    filled = base.transform_filter("datum.is_whole").mark_point(filled=True, size=60, opacity=1)
    hollow = base.transform_filter("!datum.is_whole").mark_point(filled=False, size=60, opacity=1)
    title = titled(TITLES.get(rewind, rewind), trials, SETTING)
    return alt.LayerChart(layer=[base.mark_line(), filled, hollow], width=320, height=240, title=title)
