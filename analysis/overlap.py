"""How much do masks agree: between pruners, and between seeds of one pruner, beyond what chance would give?

Needs masks: `save_masks: true` in the sweep file. Pruners are compared at equal seed, where all start from the same
weights; seeds of one pruner where nothing but the seed differs. Always in one data set, model, training and density.

The Jaccard index is the weights that both keep over those that either keeps. Two masks that keep a and b of N weights
at random share ab / N of them, which is `chance`; where each layer's a and b are given, the sum of ab / N over layers,
which is `chance_by_layer`: what agreeing on the layers' densities alone would give.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import combinations
from typing import Any, Literal

import altair as alt
import numpy as np
import polars as pl

from analysis.accuracy import half_width, panel_title
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.trial_key import TRIAL

MOST_SEEDS = 5
"""Of each network, whose masks are compared: pairs grow with the square."""
MOST_BYTES = 2**28
"""Of masks that are compared, networks in order, the sparsest first: a mask has a bit a weight."""
SEEDS = ["seed_init", "seed_data", "seed_prune"]
WHOLE_NETWORK = "all layers"
"""The value of `layer` in the row that compares two networks as a whole."""
CELL_PIXELS = 34
_NETWORK = [*PANEL, "density"]
_PAIR = [*_NETWORK, "curve", "other_curve", *SEEDS, *(f"other_{seed}" for seed in SEEDS)]
_COUNTS = ["num_weights", "kept", "other_kept", "shared"]
_COMPARED = pl.Schema(
    dict.fromkeys([*PANEL, "curve", "other_curve"], pl.String())
    | {"density": pl.Float64()}
    | dict.fromkeys([*_PAIR[-6:], "position", *_COUNTS], pl.Int64())
    | {"layer": pl.String()}
)


def pairs(
    results: pl.LazyFrame, masks: pl.LazyFrame, *, most_seeds: int = MOST_SEEDS, most_bytes: int = MOST_BYTES
) -> pl.LazyFrame:
    """Every pair of masks, layer by layer and as a whole.

    Columns: the networks', `curve`, `other_curve` (the same in pairs of seeds), seeds of both, `layer`, `position`
    (null for all layers), `num_weights`, `kept`, `other_kept`, `shared` (weights kept by both), `jaccard` = shared /
    kept by either, null where neither keeps a weight, `chance` and `chance_by_layer`. Of each network the first
    `most_seeds` in their order, and no more than `most_bytes` of masks in all. Where a curve has several trials of the
    same seeds, the first by trial_id.
    """
    compared = pl.defer(partial(_compared, results, masks, most_seeds, most_bytes), schema=_COMPARED).cache()
    chance = pl.col("kept") * pl.col("other_kept") / pl.col("num_weights")
    whole = (
        compared.group_by(_PAIR)
        .agg(pl.col(_COUNTS).sum(), chance.sum().alias("by_layer"))
        .with_columns(layer=pl.lit(WHOLE_NETWORK), position=pl.lit(None, pl.Int64))
    )
    columns = [*_PAIR, "layer", "position", *_COUNTS, "by_layer"]
    return (
        pl.concat([compared.with_columns(chance.alias("by_layer")).select(columns), whole.select(columns)])
        .with_columns(
            jaccard=_jaccard(pl.col("shared")), chance=_jaccard(chance), chance_by_layer=_jaccard(pl.col("by_layer"))
        )
        .drop("by_layer")
        .sort(*_PAIR, "position", nulls_last=True)
    )


def table(
    results: pl.LazyFrame, masks: pl.LazyFrame, *, most_seeds: int = MOST_SEEDS, most_bytes: int = MOST_BYTES
) -> pl.LazyFrame:
    """Agreement by network, pair of curves and layer: the mean over `num_pairs` of `pairs`, of `num_defined` an index.

    `between` is "pruners" (two curves, one seed) or "seeds" (one curve, two seeds). `mean_jaccard` has a Student-t 95 %
    interval between pruners, whose pairs share nothing; pairs of seeds share masks, so there only `min_jaccard` and
    `max_jaccard` say how far it varies. `excess` is the mean of (jaccard - chance_by_layer) / (1 - chance_by_layer):
    0 where masks agree no more than their layers' densities make them, 1 where they are the same.
    """
    jaccard, by_layer = pl.col("jaccard"), pl.col("chance_by_layer")
    between_pruners = pl.col("curve") != pl.col("other_curve")
    width = half_width(pl.col("deviation"), pl.col("num_defined"))
    return (
        pairs(results, masks, most_seeds=most_seeds, most_bytes=most_bytes)
        .group_by(*_NETWORK, "curve", "other_curve", "layer", "position")
        .agg(
            pl.len().cast(pl.Int64).alias("num_pairs"),
            jaccard.count().cast(pl.Int64).alias("num_defined"),
            jaccard.mean().alias("mean_jaccard"),
            jaccard.std().alias("deviation"),
            jaccard.min().alias("min_jaccard"),
            jaccard.max().alias("max_jaccard"),
            pl.col("chance").mean(),
            by_layer.mean(),
            pl.when(by_layer < 1).then((jaccard - by_layer) / (1 - by_layer)).mean().alias("excess"),
        )
        .with_columns(
            between=pl.when(between_pruners).then(pl.lit("pruners")).otherwise(pl.lit("seeds")),
            interval_low=pl.when(between_pruners).then(pl.col("mean_jaccard") - width),
            interval_high=pl.when(between_pruners).then(pl.col("mean_jaccard") + width),
        )
        .select(
            *_NETWORK, "between", "curve", "other_curve", "layer", "position", "num_pairs", "num_defined",
            "mean_jaccard", "interval_low", "interval_high", "min_jaccard", "max_jaccard", "chance", "chance_by_layer",
            "excess",
        )
        .sort(*_NETWORK, "between", "curve", "other_curve", "position", nulls_last=True,
              descending=[False] * 3 + [True] + [False] * 4)
    )  # fmt: skip


def for_page(results: pl.LazyFrame, masks: pl.LazyFrame, *, most_seeds: int = 3) -> pl.LazyFrame:
    """The `table` of each panel's sparsest networks, as a whole."""
    completed = pl.col("status") == "completed"
    sparsest = pl.col("density") == pl.col("density").filter(completed).min().over(PANEL)
    return table(results.filter(sparsest), masks, most_seeds=most_seeds).filter(pl.col("layer") == WHOLE_NETWORK)


def plot(agreement: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """A square a panel and density of a collected `table`, of whole networks: a figure for a notebook or a paper."""
    shown = agreement.filter(pl.col("layer") == WHOLE_NETWORK)
    palette = palette or Palette.of([*shown["curve"], *shown["other_curve"]])
    by_network = shown.partition_by(_NETWORK, as_dict=True, maintain_order=True)
    panels = [
        panel(rows, palette, title=f"{panel_title((dataset, model, training))}, density {density:g}", width=300)
        for (dataset, model, training, density), rows in by_network.items()
    ]
    return alt.concat(*panels, columns=2)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """A cell a pair of curves, the fuller the more they agree; on the diagonal, seeds of one pruner."""
    counted = rows.filter(pl.col("num_defined") > 0)
    mirrored = counted.filter(pl.col("curve") != pl.col("other_curve")).rename(
        {"curve": "other_curve", "other_curve": "curve"}
    )
    shown = pl.concat([counted, mirrored.select(counted.columns)]).with_columns(
        dark=pl.col("mean_jaccard") > 0.6,
        spread=pl.format("{} to {}", pl.col("min_jaccard").round(3), pl.col("max_jaccard").round(3)),
    )
    present = {*shown["curve"], *shown["other_curve"]}
    curves = [curve for curve in palette.curves if curve in present]
    scale = alt.Scale(domain=curves, paddingInner=0.06)
    axis: dict[str, Any] = {"grid": False, "ticks": False, "domain": False}
    base = alt.Chart().encode(
        x=alt.X("other_curve:N", title=None, scale=scale, axis=alt.Axis(labelAngle=-40, **axis)),
        y=alt.Y("curve:N", title=None, scale=scale, axis=alt.Axis(**axis)),
    )
    cells = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color("mean_jaccard:Q", scale=alt.Scale(domain=[0, 1], range=["#eef3f7", "#0072b2"]), legend=None),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("other_curve:N", title="with"),
            alt.Tooltip("between:N"),
            alt.Tooltip("mean_jaccard:Q", title="Jaccard index (mean)", format=".3f"),
            alt.Tooltip("spread:N", title="lowest to highest"),
            alt.Tooltip("chance:Q", title="by chance", format=".3f"),
            alt.Tooltip("chance_by_layer:Q", title="by chance, layers' densities given", format=".3f"),
            alt.Tooltip("excess:Q", title="beyond that (0 to 1)", format=".3f"),
            alt.Tooltip("num_pairs:Q", title="pairs of masks"),
        ],
    )
    words = base.mark_text(fontSize=10.5).encode(
        text=alt.Text("mean_jaccard:Q", format=".2f"),
        color=alt.condition("datum.dark", alt.value("white"), alt.value("#1d2129")),
    )
    return alt.LayerChart(
        data=inline(shown.drop(PANEL)), layer=[cells, words], width=width, height=CELL_PIXELS * len(curves), title=title
    )


def _compared(results: pl.LazyFrame, masks: pl.LazyFrame, most_seeds: int, most_bytes: int) -> pl.DataFrame:
    """Counts of every pair's layers. Collected on the way: bits are counted outside Polars, and of masks, the largest
    of all tables, only those that are compared may be read.
    """
    stored = masks.select("trial_id").unique().collect()["trial_id"]
    if stored.is_empty():
        return _COMPARED.to_frame()
    seeds = pl.struct(SEEDS).rank("dense").over(_NETWORK)
    chosen = (
        results.filter((pl.col("status") == "completed") & pl.col("trial_id").is_in(stored.implode()))
        .select(*TRIAL, "curve", *_NETWORK, *SEEDS, "prunable_weights")
        .sort(*_NETWORK, *SEEDS, "curve", *TRIAL)
        .unique(["curve", *_NETWORK, *SEEDS], keep="first", maintain_order=True)
        .filter(seeds <= most_seeds)
        .filter(pl.col("prunable_weights").cum_sum() <= 8 * most_bytes)
        .collect()
    )
    bits = (
        masks.filter(pl.col("trial_id").is_in(chosen["trial_id"].unique().implode()))
        .select(*TRIAL, "layer", "position", "shape", "bits")
        .sort(*TRIAL, "position")
        .collect()
        .partition_by(TRIAL, as_dict=True)
    )
    rows: list[dict[str, Any]] = []
    for of_network in chosen.partition_by(_NETWORK, maintain_order=True):
        for one, other in combinations(of_network.sort("curve", *SEEDS).iter_rows(named=True), 2):
            same_seeds = all(one[seed] == other[seed] for seed in SEEDS)
            if same_seeds != (one["curve"] == other["curve"]):
                pair = {name: one[name] for name in [*_NETWORK, "curve", *SEEDS]}
                pair |= {f"other_{name}": other[name] for name in ["curve", *SEEDS]}
                masks_of = (bits[tuple(trial[name] for name in TRIAL)] for trial in (one, other))
                rows += [pair | layer for layer in _layers(*masks_of)]
    return pl.DataFrame(rows, schema=_COMPARED)


def _layers(one: pl.DataFrame, other: pl.DataFrame) -> list[dict[str, Any]]:
    """Counts of two masks, layer by layer."""
    found = []
    for layer, position, shape, mine, theirs in zip(
        one["layer"], one["position"], one["shape"], one["bits"], other["bits"], strict=True
    ):
        a, b = np.frombuffer(mine, np.uint8), np.frombuffer(theirs, np.uint8)
        kept, other_kept, shared = (int(np.bitwise_count(bits).sum(dtype=np.int64)) for bits in (a, b, a & b))
        counts = {"kept": kept, "other_kept": other_kept, "shared": shared}
        found.append({"layer": layer, "position": position, "num_weights": math.prod(shape)} | counts)
    return found


def _jaccard(shared: pl.Expr) -> pl.Expr:
    either = pl.col("kept") + pl.col("other_kept") - shared
    return pl.when(either > 0).then(shared / either)
