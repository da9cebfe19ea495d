"""Which pruner wins where?

Paired comparisons over seeds: for every two curves of a panel at one density, the mean of the differences seed by seed,
Student's t interval and p-value, and Cohen's d_z = mean / standard deviation of the differences. Below five pairs
nothing is claimed. Holm's correction is over all comparisons of the table, so the chance that even one of its leads is
an accident is at most 5 %.

Accuracies are counts of N test images, so differences can agree by rounding alone (always, where both networks guess):
their deviation is taken to be at least that of rounding, 1 / (N sqrt 6), and no difference at all has p = 1.
"""

from __future__ import annotations

import math
from typing import Literal

import altair as alt
import polars as pl

from analysis import differences
from analysis.accuracy import CONFIDENCE, panel_title
from analysis.cells import cells
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.student import p_value, quantile

FEWEST_PAIRS = 5
"""Of seeds; below that a comparison is silent."""


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """`differences.table` with its tests, null where there are fewer than five pairs. Accuracies are fractions.

    `standard_error` of the mean difference, its 95 % interval `interval_low` and `interval_high`; `effect_size` (d_z);
    `p_value`; after Holm's correction over the `num_comparisons` of the table `corrected_p`, and the interval that
    belongs to it, `corrected_low` and `corrected_high`, which excludes 0 exactly where `corrected_p` < 0.05. There
    `ahead` is 1 (`curve` is better) or -1 (`other_curve` is); otherwise it is 0, and null where nothing is claimed.
    """
    n, mean = pl.col("n"), pl.col("mean_difference")
    rounding = 1 / (math.sqrt(6) * pl.col("num_test_images"))
    deviation = pl.max_horizontal("deviation", rounding)
    error = pl.col("standard_error")
    p, corrected = pl.col("p_value"), pl.col("corrected_p")
    place = p.rank("ordinal")
    steps = p.count().cast(pl.Int64) - place + 1
    return (
        differences.table(results)
        .with_columns(
            standard_error=pl.when((n >= FEWEST_PAIRS) & (deviation > 0)).then(deviation / n.sqrt()),
            effect_size=pl.when((n >= FEWEST_PAIRS) & (deviation > 0)).then(mean / deviation),
        )
        .with_columns(p_value=p_value(mean / error, n - 1))
        .with_columns(
            # Holm: the k-th smallest of m is multiplied by m - k + 1, and never smaller than the one before it
            multiplied=(steps * p).sort_by(place, nulls_last=True).cum_max().gather(place - 1),
            steps=steps,
            num_comparisons=p.count().cast(pl.Int64),
        )
        .with_columns(
            corrected_p=pl.col("multiplied").clip(upper_bound=1.0),
            confidence=1 - (1 - CONFIDENCE) / pl.when(p > 0).then(pl.col("multiplied") / p).otherwise("steps"),
        )
        .with_columns(
            interval_low=mean - quantile(n - 1, CONFIDENCE) * error,
            interval_high=mean + quantile(n - 1, CONFIDENCE) * error,
            corrected_low=mean - quantile(n - 1, pl.col("confidence")) * error,
            corrected_high=mean + quantile(n - 1, pl.col("confidence")) * error,
            ahead=pl.when(corrected < 1 - CONFIDENCE).then(mean.sign()).otherwise(corrected * 0).cast(pl.Int64),
        )
        .drop("multiplied", "steps", "confidence")
    )


def standings(comparisons: pl.LazyFrame) -> pl.LazyFrame:
    """How many others each curve is ahead of at each density, by panel, curve and density, dense to sparse.

    Of its `num_others`, a curve is ahead of `num_ahead`, behind `num_behind` and not told apart from `num_even`;
    `num_silent` share fewer than five seeds with it. `n` is the smallest number of pairs behind a claim, null without
    one.
    """
    ahead = pl.col("ahead")
    mirrored = comparisons.with_columns(curve="other_curve", rounds="other_rounds", ahead=-ahead)
    sides = [side.select(*PANEL, "curve", "density", "rounds", "ahead", "n") for side in (comparisons, mirrored)]
    return (
        pl.concat(sides)
        .group_by(*PANEL, "curve", "density")
        .agg(
            pl.col("rounds").max(),
            pl.len().cast(pl.Int64).alias("num_others"),
            *(
                (ahead == sign).sum().cast(pl.Int64).alias(name)
                for name, sign in (("num_ahead", 1), ("num_behind", -1), ("num_even", 0))
            ),
            ahead.is_null().sum().cast(pl.Int64).alias("num_silent"),
            pl.col("n").filter(ahead.is_not_null()).min(),
        )
        .with_columns(compression_ratio=1 / pl.col("density"))
        .sort(*PANEL, "curve", "compression_ratio")
    )


def plot(standings: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of collected `standings` below each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(standings["curve"])
    panels = [
        panel(rows, palette, title=panel_title(key), width=480)
        for key, rows in standings.partition_by(PANEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=1)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """Of how many others each curve is ahead, one row of cells a curve; "+2 −1": ahead of two and behind one."""
    ahead, behind = pl.col("num_ahead"), pl.col("num_behind")
    parts = [pl.when(ahead > 0).then(pl.format("+{}", ahead)), pl.when(behind > 0).then(pl.format("−{}", behind))]
    return cells(
        rows,
        palette,
        share=ahead / pl.col("num_others"),
        shown=pl.col("num_silent") < pl.col("num_others"),
        text=pl.when(ahead + behind > 0).then(pl.concat_str(parts, separator=" ", ignore_nulls=True)),
        tooltip=[
            alt.Tooltip("num_ahead:Q", title="ahead of"),
            alt.Tooltip("num_behind:Q", title="behind"),
            alt.Tooltip("num_even:Q", title="not told apart from"),
            alt.Tooltip("num_silent:Q", title="fewer than five pairs with"),
            alt.Tooltip("n:Q", title="pairs (n), fewest"),
        ],
        title=title,
        width=width,
    )
