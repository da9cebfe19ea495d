"""By how much do two curves differ on the same seeds?

All pruners of one seed start from the same weights and see the same batches, so what a seed does to both cancels in
their difference. The moments of these differences are the material of `comparisons` and `crossings`.

Every pair is formed in NumPy on a block of curves x densities x seeds. A join of the runs with themselves gives the
same rows, but it writes every pair of every seed down: of 20 curves, 100 densities and 500 seeds, 9.5 million rows
(1.2 s at best, 4 GB at worst), where the block is 8 MB and the arithmetic takes 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from analysis.labels import PANEL

_SEEDS = ["seed_init", "seed_data", "seed_prune"]
_MEASURED = {
    "n": pl.Int64,
    "num_dropped": pl.Int64,
    "num_same": pl.Int64,
    "num_collapsed": pl.Int64,
    "num_other_collapsed": pl.Int64,
    "mean_difference": pl.Float64,
    "deviation": pl.Float64,
    "next_covariance": pl.Float64,
}
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(PANEL, pl.String),
    "curve": pl.String,
    "other_curve": pl.String,
    "density": pl.Float64,
    "rounds": pl.Int64,
    "other_rounds": pl.Int64,
    **_MEASURED,
    "num_test_images": pl.Int64,
}
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Differences in final test accuracy, `curve` minus `other_curve`, by panel, pair and density, dense to sparse.

    `n` seeds are in `mean_difference` (null for n = 0) and `deviation` (of the differences, null for n < 2), collapsed
    networks among them (`num_collapsed`, `num_other_collapsed`). `num_dropped` seeds are not, because one of the two
    failed, diverged or is missing; nor are `num_same`, where both points are one trial. `next_covariance` is that of
    the mean with the pair's next sparser mean, null where there is none. `rounds` are the curves' pruning rounds.
    Pairs that have no seed in common have no row.
    """
    usable = pl.col("outcome") == "completed"
    return (
        results.select(
            *PANEL,
            "curve",
            "density",
            *_SEEDS,
            accuracy=pl.when(usable).then("final_test_accuracy"),
            is_collapsed=usable & (pl.col("collapsed_layers") > 0),
            trial=pl.col("trial_id").hash(),
            rounds="iterations",
            num_test_images="num_test_images",
        )
        .map_batches(_pairs_of_panels, schema=_SCHEMA)
        .sort(*PANEL, "curve", "other_curve", "density", descending=[False] * 5 + [True])
    )


def _pairs_of_panels(runs: pl.DataFrame) -> pl.DataFrame:
    seeds = runs.select(_SEEDS).unique().sort(_SEEDS).with_row_index("run")
    found = [
        pairs.with_columns(
            *(pl.lit(label).alias(name) for name, label in zip(PANEL, panel, strict=True)),
            num_test_images=pl.lit(rows["num_test_images"].max(), dtype=pl.Int64),
        )
        for panel, rows in runs.join(seeds, on=_SEEDS).partition_by(PANEL, as_dict=True).items()
        for pairs in _pairs(_Block.of(rows))
    ]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *(pairs.select(*_SCHEMA) for pairs in found)])


@dataclass(frozen=True)
class _Block:
    """A panel's runs as arrays of C curves x D densities x S seeds, densities falling."""

    curves: list[str]
    rounds: list[int]
    densities: Floats
    accuracy: Floats
    """NaN where there is no usable run."""
    is_planned: Bools
    is_collapsed: Bools
    trial: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> _Block:
        curves = rows.group_by("curve").agg(pl.col("rounds").max()).sort("curve")
        sparse_first, runs = rows["density"].unique().sort().to_numpy(), rows["run"].unique().sort().to_numpy()
        curve = rows["curve"].cast(pl.Enum(curves["curve"])).to_physical().to_numpy().astype(np.int64)
        density = len(sparse_first) - 1 - np.searchsorted(sparse_first, rows["density"].to_numpy())
        shape = (curves.height, len(sparse_first), len(runs))
        place = (curve * shape[1] + density) * shape[2] + np.searchsorted(runs, rows["run"].to_numpy())
        accuracy = rows["accuracy"].fill_null(np.nan).to_numpy()
        size = int(np.prod(shape))
        is_usable = ~np.isnan(accuracy)
        num_usable = np.bincount(place[is_usable], minlength=size)
        total = np.bincount(place[is_usable], weights=accuracy[is_usable], minlength=size)
        mean = np.divide(total, num_usable, out=np.full(size, np.nan), where=num_usable > 0)
        trial = np.zeros(size, np.uint64)
        trial[place] = rows["trial"].to_numpy()
        return cls(
            curves=curves["curve"].to_list(),
            rounds=curves["rounds"].to_list(),
            densities=sparse_first[::-1],
            accuracy=mean.reshape(shape),
            is_planned=(np.bincount(place, minlength=size) > 0).reshape(shape),
            is_collapsed=(np.bincount(place, rows["is_collapsed"].to_numpy(), size) > 0).reshape(shape),
            trial=trial.reshape(shape),
        )


def _pairs(block: _Block) -> Iterator[pl.DataFrame]:
    """The rows of every pair, one curve against all that follow it at a time: P pairs x D densities x S seeds."""
    for one in range(len(block.curves) - 1):
        others = slice(one + 1, None)
        is_planned = block.is_planned[one] & block.is_planned[others]
        is_same = is_planned & (block.trial[one] == block.trial[others])
        difference = block.accuracy[one] - block.accuracy[others]
        is_paired = ~np.isnan(difference) & ~is_same
        n = is_paired.sum(axis=-1)
        mean = np.divide(np.where(is_paired, difference, 0).sum(axis=-1), n, out=np.full(n.shape, np.nan), where=n > 0)
        centred = np.where(is_paired, difference - mean[..., None], 0)
        variance = np.divide((centred**2).sum(axis=-1), n - 1, out=np.full(n.shape, np.nan), where=n > 1)
        measured = {
            "n": n,
            "num_dropped": (is_planned & np.isnan(difference)).sum(axis=-1),
            "num_same": (is_same & ~np.isnan(difference)).sum(axis=-1),
            "num_collapsed": (is_paired & block.is_collapsed[one]).sum(axis=-1),
            "num_other_collapsed": (is_paired & block.is_collapsed[others]).sum(axis=-1),
            "mean_difference": mean,
            "deviation": np.sqrt(variance),
            "next_covariance": _next_covariance(centred, is_paired),
        }
        num_pairs, num_densities = n.shape
        yield (
            pl.DataFrame(
                {
                    "other_curve": pl.Series(block.curves[others]).gather(
                        np.repeat(np.arange(num_pairs), num_densities)
                    ),
                    "other_rounds": np.repeat(block.rounds[others], num_densities),
                    "density": np.tile(block.densities, num_pairs),
                }
                | {name: values.ravel() for name, values in measured.items()}
            )
            .with_columns(curve=pl.lit(block.curves[one]), rounds=pl.lit(block.rounds[one], dtype=pl.Int64))
            .filter(pl.col("n") + pl.col("num_dropped") > 0)
            .with_columns(pl.col("mean_difference", "deviation", "next_covariance").fill_nan(None))
        )


def _next_covariance(centred: Floats, is_paired: Bools) -> Floats:
    """Covariance of each mean with the next sparser mean that has seeds, over the seeds that both have; else NaN.

    With n and n' seeds of which m are shared, the covariance of the two means is that of the differences x m / (n n').
    """
    n = is_paired.sum(axis=-1)
    following = np.zeros(n.shape, np.int64)
    seen = np.full(n.shape[0], -1)
    for density in reversed(range(n.shape[1])):
        following[:, density] = seen
        seen = np.where(n[:, density] > 0, density, seen)
    there = np.maximum(following, 0)[..., None]
    is_shared = is_paired & np.take_along_axis(is_paired, there, axis=1)
    m = is_shared.sum(axis=-1)
    product = (np.where(is_shared, centred * np.take_along_axis(centred, there, axis=1), 0)).sum(axis=-1)
    scale = m / np.maximum((m - 1) * n * np.take_along_axis(n, there[..., 0], axis=1), 1)
    return np.where((following >= 0) & (m > 1), product * scale, np.nan)
