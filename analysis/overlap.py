"""How much do two masks agree? Jaccard index of kept weights between pruners, network by network.

Needs masks: `save_masks: true` in the sweep file. Networks are compared within one data set, model, density and seed,
where all pruners start from the same weights.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

_NETWORK = ["dataset_label", "model_label", "density", "seed_init", "seed_data", "seed_prune"]
WHOLE_NETWORK = "all layers"
"""The value of `layer` in the row that compares two networks as a whole."""


def table(results: pl.LazyFrame, masks: pl.LazyFrame) -> pl.DataFrame:
    """Every pair of curves of every network, layer by layer and as a whole.

    Columns: the network's, `curve`, `other_curve`, `layer`, `kept`, `other_kept`, `shared` (weights kept by both),
    `jaccard` = shared / kept by either; null where neither keeps a weight. Collects: bits are counted outside Polars.
    """
    stored = (
        results.unique(["trial_id", "curve", *_NETWORK], keep="any")
        .select("trial_id", "curve", *_NETWORK)
        .join(masks.select("trial_id", "layer", "position", "bits"), on="trial_id")
        .sort(*_NETWORK, "curve", "position")
        .collect()
    )
    rows = []
    for network, of_network in stored.partition_by(_NETWORK, as_dict=True, maintain_order=True).items():
        curves = of_network.partition_by("curve", as_dict=True, maintain_order=True)
        for (curve,), (other,) in combinations(curves, 2):
            pair = _compare(curves[(curve,)], curves[(other,)])
            named = dict(zip(_NETWORK, network, strict=True)) | {"curve": curve, "other_curve": other}
            rows += [named | one for one in pair]
    schema = stored.select(_NETWORK, "curve").schema | {
        "other_curve": pl.String,
        "layer": pl.String,
        "kept": pl.Int64,
        "other_kept": pl.Int64,
        "shared": pl.Int64,
    }
    either = pl.col("kept") + pl.col("other_kept") - pl.col("shared")
    jaccard = pl.when(either > 0).then(pl.col("shared") / either)
    return pl.DataFrame(rows, schema=schema).with_columns(jaccard=jaccard)


def _compare(one: pl.DataFrame, other: pl.DataFrame) -> list[dict[str, object]]:
    """Counts of two masks of one network, a row a layer and one for all of them."""
    layers: list[dict[str, object]] = []
    totals = np.zeros(3, dtype=np.int64)
    for layer, mine, theirs in zip(one["layer"], one["bits"], other["bits"], strict=True):
        a, b = np.frombuffer(mine, np.uint8), np.frombuffer(theirs, np.uint8)
        counts = np.array([np.bitwise_count(bits).sum(dtype=np.int64) for bits in (a, b, a & b)])
        totals += counts
        layers.append(_row(layer, counts))
    return [*layers, _row(WHOLE_NETWORK, totals)]


def _row(layer: str, counts: npt.NDArray[np.int64]) -> dict[str, object]:
    kept, other_kept, shared = counts.tolist()
    return {"layer": layer, "kept": kept, "other_kept": other_kept, "shared": shared}
