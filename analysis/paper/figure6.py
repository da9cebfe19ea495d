"""Figure 6: top-1 accuracy over compression, four models on three data sets, five pruners.

A panel a model and data set, a line a pruner with its range over seeds; published means of CIFAR-10 dashed.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis.inline_data import inline
from analysis.palette import Palette
from analysis.paper.figure1 import OTHER_GRASP
from analysis.paper.publication import published
from analysis.paper.setting import COLUMNS, Setting
from analysis.paper.tables import Tables, exponent, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials

CELL = ["dataset", "model", "pruner", "compression_exponent"]
EPOCHS = {"cifar10": 160, "cifar100": 160, "tiny-imagenet": 100}
"""By data set of the paper."""
NOT_WIDE = "the published network of that name is a ResNet-18"
HALF_A_DIGIT = 0.005
"""Of a published percentage with two digits after the point."""


def tables(store: Trials) -> Tables:
    """`accuracy`: a trained trial a row, accuracies in per cent."""
    trained = store.results.filter(pl.col("outcome") == "completed")
    percents = {name: 100 * pl.col(f"{name}_test_accuracy") for name in ("final", "best")}
    rows = trained.select(
        "pruner", exponent().alias("compression_exponent"), "collapsed_layers", *COLUMNS, seed="seed_init", **percents
    )
    return {"accuracy": rows.sort(*CELL, "seed").collect()}


def points(found: Tables) -> list[Point]:
    """Accuracy after the last epoch, cell by cell: ours, and those published that we have none of."""
    theirs = rows_of(published("figure6_cifar10.parquet"), CELL)
    ours = rows_of(found["accuracy"], CELL)
    return [
        Point(
            figure="6",
            point=f"{model} on {dataset}, {pruner}, compression exponent {power:g}",
            measure="top-1 accuracy after the last epoch (%)",
            rule=Rule(kind="mean", tolerance=HALF_A_DIGIT),
            ours=tuple(ours[key]["final"]) if key in ours else (),
            theirs=tuple(theirs[key]["top1_accuracy"]) if key in theirs else (),
            cause=_cause(dataset, model, pruner, ours.get(key)),
        )
        for key in sorted({*ours, *theirs})
        for dataset, model, pruner, power in [key]
    ]


def _cause(dataset: str, model: str, pruner: str, rows: pl.DataFrame | None) -> str:
    if pruner == "grasp":
        return OTHER_GRASP
    if model == "wide_resnet18":
        return NOT_WIDE
    if rows is None:
        return ""
    if dataset not in EPOCHS:
        return f"data set {dataset} is none of the paper's: {', '.join(EPOCHS)}"
    return _setting(dataset, model).cause(rows)


def _setting(dataset: str, model: str) -> Setting:
    return Setting(datasets=((dataset, "{}"),), model=model, epochs=EPOCHS.get(dataset))


def plot(found: Tables) -> alt.ConcatChart:
    """Models side by side, data sets below each other."""
    palette = Palette.of(found["accuracy"]["pruner"])
    panels = [
        _panel(rows, str(dataset), str(model), palette)
        for (dataset, model), rows in rows_of(found["accuracy"], ["dataset", "model"]).items()
    ]
    return alt.concat(*panels, columns=max(1, found["accuracy"]["model"].n_unique()))


def _panel(rows: pl.DataFrame, dataset: str, model: str, palette: Palette) -> alt.LayerChart:
    final, top1 = pl.col("final"), pl.col("top1_accuracy")
    ours = (
        rows.group_by("pruner", "compression_exponent")
        .agg(mean=final.mean(), low=final.min(), high=final.max())
        .sort("pruner", "compression_exponent")
    )
    theirs = (
        published("figure6_cifar10.parquet")
        .filter((pl.col("dataset") == dataset) & (pl.col("model") == model))
        .group_by("pruner", "compression_exponent")
        .agg(mean=top1.mean())
        .sort("pruner", "compression_exponent")
    )
    opaque = alt.Legend(symbolOpacity=1)  # not the band's
    encoding: dict[str, Any] = {
        "x": alt.X("compression_exponent:Q", title="compression exponent", axis=alt.Axis(grid=False)),
        "color": alt.Color("pruner:N", scale=palette.colour_scale(), title=None, legend=opaque),
    }
    y = alt.Y("mean:Q", title="top-1 accuracy, last epoch (%)", scale=alt.Scale(domain=[0, 100]))
    base = alt.Chart(inline(ours)).encode(**encoding)
    dashed = alt.Chart(inline(theirs)).mark_line(strokeDash=[3, 3], strokeWidth=1)
    layers = [
        base.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q"),
        base.mark_line(strokeWidth=1.8).encode(y=y),
        base.mark_point(filled=True, size=28, opacity=1).encode(y=y),
        dashed.encode(**encoding, y=y),
    ]
    return alt.LayerChart(layer=layers, width=260, height=210, title=titled(model, rows, _setting(dataset, model)))
