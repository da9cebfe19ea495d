"""How many rounds does it take to keep every layer? The least number that avoids collapse at each compression.

The grid of rounds bounds it: more than the largest number tried that collapses, at most the least that does not. Where
the first number tried is enough there is no lower bound (censored on the left), where none is enough no upper one
(censored on the right). Over the networks of a method (a pruner's curves less their rounds) a power law is fitted,

    rounds = c (1 / density)^exponent

a straight line on the axes on which it is drawn, positive everywhere, with two constants; it describes and derives
nothing. Every pruned network at every density counts, its bounds in decades, censored ones too: leaving those out would
bend the law (`analysis.laws.censored`). Scatter is taken as independent from density to density; networks that share
seeds may scatter together, and then the intervals are too narrow.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import altair as alt
import numpy as np
import polars as pl

from analysis import networks as networks_room
from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.labels import without_rounds
from analysis.laws import censored
from analysis.networks import MODEL, SEEDS
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts

METHOD = [*MODEL, "method"]
CONSTANTS = ["exponent", "exponent_low", "exponent_high", "rounds_at_centre", "rounds_low", "rounds_high"]


def networks(results: pl.LazyFrame) -> pl.LazyFrame:
    """Pruned networks by data set, model, method, density and seeds, of methods with several numbers of rounds.

    The least number of rounds that avoids collapse is above `low_rounds` (null where the fewest tried do) and at most
    `high_rounds` (null where none of those tried does). `is_monotone` is false where more rounds collapsed again.
    `num_absent` of the numbers in the grid failed or are missing. `curve` is the method's with the most rounds.
    """
    curves = (
        results.select(*MODEL, "curve", "iterations")
        .unique()
        .with_columns(method=without_rounds(pl.col("curve")))
        .filter(pl.col("iterations").n_unique().over(METHOD) > 1)
        .with_columns(longest=pl.col("curve").sort_by("iterations").last().over(METHOD))
    )
    rounds, collapsed = pl.col("iterations"), pl.col("collapsed")
    least = rounds.filter(~collapsed).min()
    most = rounds.filter(collapsed)
    return (
        networks_room.table(results.filter(pl.col("density") < 1))
        .join(curves, on=[*MODEL, "curve"])
        .group_by(*METHOD, "longest", "recipe", *SEEDS, "density")
        .agg(
            pl.col("pruned").any(),
            least.alias("high_rounds"),
            most.filter(most < least.fill_null(2**62)).max().alias("low_rounds"),
            ~(most > least).any().alias("is_monotone"),
            (~pl.col("pruned")).sum().cast(pl.Int64).alias("num_absent"),
        )
        .rename({"longest": "curve"})
    )


def observations(results: pl.LazyFrame) -> pl.LazyFrame:
    """What the law is fitted to: how many networks of a method and density have which bounds."""
    return (
        networks(results)
        .filter("pruned")
        .group_by(*METHOD, "density", "low_rounds", "high_rounds")
        .agg(pl.len().cast(pl.Int64).alias("num_networks"))
        .sort(*METHOD, "density", "low_rounds", "high_rounds", descending=[False, False, False, True, False, False])
    )


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Least rounds by data set, model, method and density, over `n` networks.

    `median_low` and `median_high` are medians of the bounds in decades, null where they lie outside the grid of rounds.
    Of the n, the fewest rounds tried are enough for `num_enough_at_once`, none for `num_never`, and
    `num_not_monotone` collapse again with more. `num_absent` networks have no result, and `num_points_absent` numbers
    of rounds failed or are missing.
    """
    low, high = (pl.when("pruned").then(pl.col(f"{end}_rounds").log10()) for end in ("low", "high"))
    below, beyond = -math.inf, math.inf
    medians = {
        "median_low": pl.when("pruned").then(low.fill_null(below)),
        "median_high": pl.when("pruned").then(high.fill_null(beyond)),
    }
    pruned = pl.col("pruned")
    return (
        networks(results)
        .group_by(*METHOD, "curve", "density")
        .agg(
            pruned.sum().cast(pl.Int64).alias("n"),
            *(bound.median().alias(name) for name, bound in medians.items()),
            (pruned & pl.col("low_rounds").is_null()).sum().cast(pl.Int64).alias("num_enough_at_once"),
            (pruned & pl.col("high_rounds").is_null()).sum().cast(pl.Int64).alias("num_never"),
            (pruned & ~pl.col("is_monotone")).sum().cast(pl.Int64).alias("num_not_monotone"),
            (~pruned).sum().cast(pl.Int64).alias("num_absent"),
            pl.col("num_absent").sum().alias("num_points_absent"),
        )
        .with_columns(
            # the mean of an open and a known bound, or of two open ones, is no number
            pl.when(pl.col(name).is_finite()).then(10 ** pl.col(name)).alias(name)
            for name in medians
        )
        .with_columns(compression_ratio=1 / pl.col("density"))
        .select(
            *METHOD, "curve", "density", "compression_ratio", "n", "median_low", "median_high",
            "num_enough_at_once", "num_never", "num_not_monotone", "num_absent", "num_points_absent",
        )
        .sort(*METHOD, "compression_ratio")
    )  # fmt: skip


def laws(seen: pl.DataFrame) -> pl.DataFrame:
    """The power law of each method from collected `observations`, one row a method.

    `exponent` with its 95 % interval; `rounds_at_centre` with `rounds_low` and `rounds_high` are the law's rounds at
    `compression_at_centre`, where they are known best. `scatter_decades` is the spread of networks around the law.
    `num_bounded` networks are bounded on both sides, `num_left_censored` and `num_right_censored` on one. Below three
    densities with a network bounded on both sides all constants are null, and `refused` says so.
    """
    rows = [
        dict(zip(METHOD, key, strict=True)) | _law(one)
        for key, one in seen.partition_by(METHOD, as_dict=True, maintain_order=True).items()
    ]
    numbers = [*CONSTANTS, "compression_at_centre", "scatter_decades"]
    counts = ["num_bounded", "num_left_censored", "num_right_censored"]
    schema = (
        dict.fromkeys(METHOD, pl.String)
        | dict.fromkeys(numbers, pl.Float64)
        | dict.fromkeys(counts, pl.Int64)
        | {"refused": pl.String}
    )
    return pl.DataFrame(rows, schema=schema)


def _law(seen: pl.DataFrame) -> dict[str, Any]:
    """One method's row of `laws`."""
    x = -np.log10(seen["density"].to_numpy())
    low = seen["low_rounds"].cast(pl.Float64).log10().fill_null(-math.inf).to_numpy()
    high = seen["high_rounds"].cast(pl.Float64).log10().fill_null(math.inf).to_numpy()
    count = seen["num_networks"].cast(pl.Float64).to_numpy()
    left, right = np.isinf(low), np.isinf(high)
    row: dict[str, Any] = {
        "num_bounded": int(count[~left & ~right].sum()),
        "num_left_censored": int(count[left].sum()),
        "num_right_censored": int(count[right & ~left].sum()),
    }
    places = censored.num_places(x, low, high)
    if places < censored.FEWEST_PLACES:
        return row | {
            "refused": f"no law: the least number of rounds is bounded on both sides at {places} "
            f"{'sparsity' if places == 1 else 'sparsities'}, and it takes {censored.FEWEST_PLACES}; "
            "try more numbers of rounds between those that collapse and those that do not"
        }
    line = censored.fit(x, low, high, count)
    levels = (line.level, line.level_low, line.level_high)
    constants = (line.slope, line.slope_low, line.slope_high, *(_power(level) for level in levels))
    return row | {
        **dict(zip(CONSTANTS, constants, strict=True)),
        "compression_at_centre": 10**line.centre,
        "scatter_decades": line.scatter,
    }


def _power(exponent: float) -> float:
    return 0.0 if exponent == -math.inf else math.inf if exponent == math.inf else 10**exponent


def fitted(rows: pl.DataFrame, law: pl.DataFrame) -> pl.DataFrame:
    """Rows of a collected `table` with `law_rounds`, what its method's law says; null where it is refused."""
    ahead = pl.col("compression_ratio") / pl.col("compression_at_centre")
    return (
        rows.join(law, on=METHOD, how="left", maintain_order="left")
        .with_columns(law_rounds=pl.col("rounds_at_centre") * ahead ** pl.col("exponent"))
        .select(*rows.columns, "law_rounds")
    )


def plot(rows: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All methods of `fitted` rows beside each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(rows["curve"])
    panels = [
        panel(one, palette, title=f"{method}, {model} on {dataset}", width=340)
        for (dataset, model, method), one in rows.partition_by(METHOD, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """One method's bounds as bars over compression, both in decades, and its law as a dashed line.

    A bar without a lower bound reaches down to the frame; a triangle stands where no number of rounds tried is enough
    for half of the networks.
    """
    ends = [value for name in ("median_low", "median_high") for value in rows[name].drop_nulls()] or [1]
    bottom, top = min(ends) / 2, max(ends) * 2
    texts = sparsity_texts(rows["density"])
    shown = rows.filter(pl.col("n") > 0).with_columns(
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
        bottom=pl.col("median_low").fill_null(bottom),
        top=pl.col("median_high").fill_null(top),
        bounds_text=pl.format(
            "above {}, at most {}",
            pl.col("median_low").round(1).cast(pl.String).str.strip_suffix(".0").fill_null("0"),
            pl.col("median_high").round(1).cast(pl.String).str.strip_suffix(".0").fill_null("unknown"),
        ),
        is_open=pl.col("median_high").is_null(),
        never_text=pl.format("{} of {}", "num_never", "n"),
    )
    x = sparsity_axis(rows["density"])
    scale = alt.Scale(type="log", domain=[bottom, top], nice=False)
    y = alt.Y(
        "bottom:Q", title="least number of rounds", scale=scale, axis=alt.Axis(format=".2~r", values=sorted(set(ends)))
    )
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=None)
    tooltip = [
        alt.Tooltip("method:N", title="pruner"),
        alt.Tooltip("sparsity_text:N", title="sparsity"),
        alt.Tooltip("bounds_text:N", title="rounds, median"),
        alt.Tooltip("law_rounds:Q", title="law", format=".3~r"),
        alt.Tooltip("n:Q", title="networks (n)"),
        alt.Tooltip("num_enough_at_once:Q", title="fewest rounds are enough"),
        alt.Tooltip("never_text:N", title="none is enough"),
        alt.Tooltip("num_not_monotone:Q", title="collapse again with more"),
        alt.Tooltip("num_absent:Q", title="failed or missing"),
    ]
    base = alt.Chart(inline(shown)).encode(x=x)
    bars = base.mark_rule(strokeWidth=9, opacity=0.55).encode(y=y, y2="top:Q", color=colour, tooltip=tooltip)
    law = base.transform_filter("isValid(datum.law_rounds)").mark_line(strokeDash=[6, 4], strokeWidth=1.6, clip=True)
    line = law.encode(y=alt.Y("law_rounds:Q", scale=scale), color=colour)
    arrows = base.transform_filter("datum.is_open").mark_point(
        shape="triangle-up", filled=True, size=110, opacity=1, yOffset=6
    )
    return alt.LayerChart(
        layer=[bars, line, arrows.encode(y=alt.Y("top:Q", scale=scale), color=colour, tooltip=tooltip)],
        width=width,
        height=260,
        title=title,
    )
