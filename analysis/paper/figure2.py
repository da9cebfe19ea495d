"""Figure 2: where does collapse begin? The fraction of each layer that is kept, over compressions.

A panel a pruner, a line a compression, over the layers from input to output; a cross where a layer is empty.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from analysis import first_empty
from analysis.inline_data import inline
from analysis.paper.missing import missing_points
from analysis.paper.setting import COLUMNS, IMAGENET, imagenet_cause
from analysis.paper.tables import Tables, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials
from analysis.trial_key import TRIAL

LOWEST = 1e-7
"""Where the fraction's axis ends: an empty layer has no logarithm."""
EMPTY = Rule(kind="law")
MOST_EMPTY = "most empty layers"
DIES_FIRST = {
    "random": ("the smallest layer", pl.col("num_weights").min()),
    "magnitude": ("one of the widest layers", pl.col("num_weights").max()),
}
"""By pruner the layer that dies first in the published figure, and its size among those of a network."""


def tables(store: Trials) -> Tables:
    """`layers`: a layer of a pruned network a row, with `layer_density`; `first_empty`: `analysis.first_empty`."""
    completed = store.results.filter((pl.col("status") == "completed") & (pl.col("density") < 1))
    settings = completed.select(*TRIAL, "curve", "pruner", "density", seed="seed_init", **{one: one for one in COLUMNS})
    layers = (
        store.layers.filter(pl.col("is_layer").fill_null(True))
        .select(*TRIAL, "layer", "position", "num_weights", "kept")
        .join(settings.unique(), on=TRIAL)
        .with_columns(layer_density=pl.col("kept") / pl.col("num_weights"), compression_ratio=1 / pl.col("density"))
        .drop(TRIAL)
        .sort("curve", "compression_ratio", "seed", "position")
    )
    return {
        "layers": layers.collect(),
        "first_empty": first_empty.table(store.results, store.layers).filter(pl.col("num_empty") > 0).collect(),
    }


def points(found: Tables) -> list[Point]:
    """How many layers are empty at most, which of them first, and a point for each pruner that is missing."""
    layers = found["layers"]
    return _most_empty(layers) + _first_empty(layers) + missing_points("2", MOST_EMPTY, EMPTY, layers["pruner"])


def _most_empty(found: pl.DataFrame) -> list[Point]:
    """SynFlow's empty layers at every compression that leaves a weight a layer: none. Layers of others have no number.

    No collapse below maximal compression is what the paper proves of SynFlow with enough rounds, at any size.
    """
    rows = []
    for (curve,), layers in rows_of(found, ["curve"]).items():
        of_networks = layers.group_by("density", "seed").agg(
            empty=(pl.col("kept") == 0).sum(), possible=pl.col("kept").sum() >= pl.len()
        )
        empty = of_networks.filter("possible")["empty"]
        is_synflow = layers["pruner"][0] == "synflow"
        rows.append(
            Point(
                figure="2",
                point=f"{curve}, every compression",
                measure=MOST_EMPTY,
                rule=EMPTY,
                ours=(float(empty.max()),) if len(empty) else (),  # type: ignore[arg-type]
                theirs=(0.0,) if is_synflow else (),
                cause=imagenet_cause(layers["pruner"][0], layers),
            )
        )
    return rows


def _first_empty(found: pl.DataFrame) -> list[Point]:
    """Is the layer, or one of those, that the paper shows to die first empty at each network's first collapse?"""
    points = []
    for (curve,), layers in rows_of(found, ["curve"]).items():
        pruner = layers["pruner"][0]
        dead = layers.filter(pl.col("kept") == 0)
        if pruner not in DIES_FIRST or dead.is_empty():
            continue
        which, size = DIES_FIRST[pruner]
        first = dead.filter(pl.col("density") == pl.col("density").max().over("seed"))
        is_it = first.group_by("seed").agg((pl.col("num_weights") == layers.select(size).item()).any()).sort("seed")
        points.append(
            Point(
                figure="2",
                point=f"{curve}, first collapse",
                measure=f"empties {which} (1: yes)",
                rule=Rule(kind="majority"),
                ours=tuple(is_it["num_weights"].cast(pl.Float64)),
                theirs=(1.0,),
            )
        )
    return points


def plot(found: Tables) -> alt.ConcatChart:
    """The seed with the lowest number: the figure shows one network."""
    layers = found["layers"].filter(pl.col("seed") == pl.col("seed").min().over("curve"))
    panels = [_panel(rows, curve) for (curve,), rows in rows_of(layers, ["curve"]).items()]
    return alt.concat(*panels, columns=3)


def _panel(layers: pl.DataFrame, title: str) -> alt.LayerChart:
    shown = layers.select(
        number=pl.col("position").rank("dense"),
        kept=pl.max_horizontal("layer_density", pl.lit(LOWEST)),
        is_empty=pl.col("kept") == 0,
        compression=pl.col("compression_ratio").round().cast(pl.Int64),
    )
    base = alt.Chart(inline(shown)).encode(
        x=alt.X("number:Q", title="layer, input to output", axis=alt.Axis(grid=False, tickMinStep=1)),
        y=alt.Y(
            "kept:Q",
            title="fraction kept",
            scale=alt.Scale(type="log", domain=[LOWEST, 1]),
            axis=alt.Axis(format=".0e", grid=False, tickCount=4),
        ),
        color=alt.Color("compression:O", title="compression", scale=alt.Scale(scheme="viridis")),
    )
    crosses = base.transform_filter("datum.is_empty").mark_point(shape="cross", angle=45, size=60, filled=True)
    return alt.LayerChart(
        layer=[base.mark_line(strokeWidth=1.4, clip=True), crosses],
        width=230,
        height=210,
        title=titled(title, layers, IMAGENET),
    )
