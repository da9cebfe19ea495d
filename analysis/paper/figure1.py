"""Figure 1: how far can each pruner compress VGG-16 on CIFAR-100 before a layer is empty, and what is left of accuracy?

Collapse needs no training: a sweep of 0 epochs gives every critical exponent. Accuracy is drawn where a sweep trained.
"""

from __future__ import annotations

from dataclasses import replace

import altair as alt
import polars as pl

from analysis import critical, first_empty
from analysis.inline_data import inline
from analysis.networks import MODEL
from analysis.palette import Palette
from analysis.paper.publication import published
from analysis.paper.setting import CIFAR100_SHAPE, COLUMNS, LOOKS_AT_NOTHING, Setting
from analysis.paper.tables import Tables, exponent, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials

STEP, LAST = 0.25, 6.0
"""Of the published grid of compression exponents: its step and its end."""
MANY_SEEDS = 10
"""From here on the range of ours is taken for a pruner's spread."""
OTHER_GRASP = "the published GraSP had another sign, and by all signs no temperature"
PUBLISHED_GRASP = ("invert", '{"temperature":1}')
"""Its ablation and options: `figure1-grasp-sign`."""
CIFAR100 = ("cifar100", "{}")
ACCURACIES = ["best_test_accuracy", "final_test_accuracy"]
TRAINED = Setting(datasets=(CIFAR100,), model="vgg16_bn", epochs=160)
PRUNED = replace(TRAINED, epochs=None)
"""Of the accuracies, and of the critical exponents, for which nothing is trained."""


def tables(store: Trials) -> Tables:
    """`critical`: a network a row, its largest compression exponent without collapse; `accuracy`: a trial a row.

    `collapsed_exponent` is the next on the grid, the first with an empty layer; null where the grid has none. A network
    of which a point is missing has no row: its collapse might lie there.
    `first_empty`: a layer a row that is empty at a network's first collapse, counted from 0 at the input. The
    accuracies are fractions, null where nothing was trained.
    """
    # a network that was also only pruned is one network: the epochs are the most of any
    curves = (
        store.results.select(*MODEL, "curve", "pruner", "pruner_options", "ablation", *COLUMNS)
        .group_by(pl.all().exclude("epochs"))
        .agg(pl.col("epochs").max())
    )
    networks = (
        critical.networks(store.results)
        .join(curves, on=[*MODEL, "curve"])
        .filter(pl.col("num_absent") == 0)
        .select(
            "curve", "pruner", "pruner_options", "ablation", seed="seed_init",
            critical_exponent=pl.col("critical_low").log10().round(6),
            collapsed_exponent=pl.col("critical_high").log10().round(6),
            is_beyond_grid="is_right_censored", **{name: name for name in COLUMNS},
        )
        .sort("curve", "seed")
    )  # fmt: skip
    trials = (
        store.results.filter(pl.col("status") == "completed")
        .select(
            "curve",
            exponent().alias("compression_exponent"),
            "collapsed_layers",
            *ACCURACIES,
            *COLUMNS,
            seed="seed_init",
        )
        .sort("curve", "compression_exponent", "seed")
    )
    empty = (
        first_empty.of_networks(store.results, store.layers)
        .filter("is_empty")
        .select("curve", "layer", "depth", "num_layers", exponent().alias("compression_exponent"), seed="seed_init")
        .join(networks, on=["curve", "seed"], how="semi")
        .sort("curve", "seed", "depth")
    )
    return {"critical": networks.collect(), "accuracy": trials.collect(), "first_empty": empty.collect()}


def points(found: Tables) -> list[Point]:
    """The critical exponent of each pruner, and where it collapses first."""
    return _critical_points(found) + _first_empty_points(found)


def _critical_points(found: Tables) -> list[Point]:
    theirs = published("figure1_critical.csv")
    runs = {pruner: tuple(rows["critical_exponent"]) for (pruner,), rows in rows_of(theirs, ["pruner"]).items()}
    ours = rows_of(found["critical"], ["curve"])
    pruner_of = {curve: rows["pruner"][0] for (curve,), rows in ours.items()}
    absent = [pruner for pruner in runs if pruner not in pruner_of.values()]
    return [
        Point(
            figure="1",
            point=curve,
            measure="critical compression exponent",
            rule=_rule(pruner, len(rows)),
            ours=tuple(rows["critical_exponent"]),
            theirs=runs.get(pruner, ()),
            cause=_cause(pruner, rows),
        )
        for (curve,), rows in ours.items()
        for pruner in [pruner_of[curve]]
    ] + [
        Point(
            figure="1",
            point=pruner,
            measure="critical compression exponent",
            rule=_rule(pruner, 0),
            ours=(),
            theirs=runs[pruner],
        )
        for pruner in absent
    ]


def _first_empty_points(found: Tables) -> list[Point]:
    """Does a layer collapse first that did in the published run? Of pruners that collapsed there."""
    curves = rows_of(found["critical"], ["curve"])
    return [
        Point(
            figure="1",
            point=f"{curve}, first collapse",
            measure=f"empties layer {' or '.join(map(str, theirs))}, from 0 (1: yes)",
            rule=Rule(kind="majority"),
            ours=tuple(float(bool(set(layers["depth"]) & set(theirs))) for layers in rows_of(rows, ["seed"]).values()),
            theirs=(1.0,),
            cause=_cause(pruner, curves[(curve,)]),
        )
        for (curve,), rows in rows_of(found["first_empty"], ["curve"]).items()
        for pruner in [curves[(curve,)]["pruner"][0]]
        if (theirs := published_first_empty().get(pruner))
    ]


def published_first_empty() -> dict[str, list[int]]:
    """The layers that are empty at the first collapse of the published run 1, by pruner; one without has none."""
    empty = published("figure1_layers.parquet").filter(pl.col("kept") == 0)
    first = pl.col("compression_exponent") == pl.col("compression_exponent").min().over("pruner")
    return {pruner: sorted(rows["layer"]) for (pruner,), rows in rows_of(empty.filter(first), ["pruner"]).items()}


def _rule(pruner: str, num_seeds: int) -> Rule:
    """Random scatters over a whole decade: judged by the spread of many seeds."""
    if pruner == "random" and num_seeds >= MANY_SEEDS:
        return Rule(kind="spread")
    return Rule(kind="grid", tolerance=STEP)


def _cause(pruner: str, rows: pl.DataFrame) -> str:
    if pruner == "grasp" and (rows["ablation"][0], rows["pruner_options"][0]) != PUBLISHED_GRASP:
        return OTHER_GRASP
    alike = (CIFAR100, CIFAR100_SHAPE) if pruner in LOOKS_AT_NOTHING else (CIFAR100,)
    return "; ".join(filter(None, [replace(PRUNED, datasets=alike).cause(rows), _coarseness(rows)]))


def _coarseness(rows: pl.DataFrame) -> str:
    """Why the grid says less about where these networks collapse than the published one does; "" where it does not."""
    low, high = rows["critical_exponent"], rows["collapsed_exponent"]
    widest = rows.filter((high - low) > STEP + 1e-6)
    if not widest.is_empty():
        first = widest.row(0, named=True)
        return (
            f"the grid here has no point between {first['critical_exponent']:g} and {first['collapsed_exponent']:g}, "
            f"published steps of {STEP:g}"
        )
    unseen = low.filter(high.is_null() & (low < LAST)).to_list()
    return f"the grid here ends at {max(unseen):g}, published {LAST:g}" if unseen else ""


def plot(found: Tables) -> alt.ConcatChart:
    """Accuracy over compression, where there is any, above the critical exponents: ours as dots, published as rings."""
    palette = Palette.of(found["critical"]["curve"])
    trained = found["accuracy"].filter(pl.col("best_test_accuracy").is_not_null())
    panels = [_critical_panel(found["critical"], palette)]
    if not trained.is_empty():
        panels.insert(0, _accuracy_panel(trained, palette))
    return alt.concat(*panels, columns=1)


def _axis(title: str | None = "compression exponent: log10 of weights / kept weights") -> alt.X:
    return alt.X("exponent:Q", title=title, scale=alt.Scale(domain=[0, 6.1], nice=False), axis=alt.Axis(grid=False))


def _accuracy_panel(trained: pl.DataFrame, palette: Palette) -> alt.LayerChart:
    best = pl.col("best_test_accuracy")
    cells = (
        trained.group_by("curve", exponent="compression_exponent")
        .agg(mean=best.mean(), low=best.min(), high=best.max())
        .sort("curve", "exponent")
    )
    colour = alt.Color("curve:N", scale=palette.colour_scale(), title=None)
    base = alt.Chart(inline(cells)).encode(x=_axis(None), color=colour)
    y = alt.Y("mean:Q", title="best test accuracy", axis=alt.Axis(format="%"))
    band = base.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q")
    marks = base.mark_point(size=30, filled=True).encode(y=y, shape=alt.Shape("curve:N", scale=palette.shape_scale()))
    title = titled("accuracy", trained, TRAINED)
    return alt.LayerChart(layer=[band, base.mark_line().encode(y=y), marks], width=460, height=260, title=title)


def _critical_panel(networks: pl.DataFrame, palette: Palette) -> alt.LayerChart:
    seen = networks.group_by("curve", "pruner", exponent="critical_exponent").agg(count=pl.len()).sort("curve")
    sizes = alt.Legend(values=seen["count"].unique().sort().to_list(), format="d")  # by itself it begins at 0
    theirs = published("figure1_critical.csv").rename({"critical_exponent": "exponent"})
    drawn = networks.select("curve", "pruner").unique().join(theirs, on="pruner").sort("curve", "exponent")
    y = alt.Y("curve:N", title=None, scale=alt.Scale(domain=list(palette.curves)), axis=alt.Axis(grid=True))
    ours = (
        alt.Chart(inline(seen))
        .mark_point(filled=True, opacity=0.8)
        .encode(
            x=_axis(), y=y, color=alt.Color("curve:N", scale=palette.colour_scale(), legend=None),
            size=alt.Size("count:Q", title="networks", scale=alt.Scale(range=[40, 200]), legend=sizes),
        )
    )  # fmt: skip
    rings = (
        alt.Chart(inline(drawn))
        .mark_point(shape="diamond", size=170, strokeWidth=1.4, filled=False, color="#444444")
        .encode(x=_axis(), y=y)
    )
    title = titled("critical compression exponents", networks, PRUNED)
    return alt.LayerChart(layer=[ours, rings], width=460, height=30 * max(1, len(palette.curves)), title=title)
