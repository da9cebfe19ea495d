"""What does a pruning do to a network in training: how far does it fall, and when is it back?

Where training and pruning take turns (`table`), the accuracy at the end of a level is set against the first evaluation
after the pruning. Networks are evaluated at the ends of epochs, so that one comes after up to an epoch of training, and
after a rewind, which alone can cost as much: a drop is of pruning, rewinding and that epoch together.

Where masks change while the network trains (`swings`), the store does not say at which step they did. What is known is
how often, and how steady accuracy was from epoch to epoch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import altair as alt
import polars as pl

from analysis.accuracy import PER_CENT, half_width, panel_title
from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts
from analysis.trial_key import trial_key

DYNAMIC = ("gmp", "set", "rigl")
"""Our pruners whose masks change while the network trains."""
_CELL = [*PANEL, "curve", "density"]
_EVENT = ["cell", "level"]


def applies(results: pl.LazyFrame) -> pl.LazyFrame:
    """Whether any trial was pruned while or after it was trained: one row, `applies`. Without, nothing need be read."""
    return results.select(((pl.col("pre_epochs") > 0) | pl.col("pruner").is_in(DYNAMIC)).any().alias("applies"))


def table(results: pl.LazyFrame, epochs: pl.LazyFrame, rounds: pl.LazyFrame) -> pl.LazyFrame:
    """Prunings of trained networks by curve, final density and level, the number of prunings that then lie behind.

    `level_density` is left by the pruning (null where rounds were not recorded). Over `n` completed trials:
    `mean_before` and `mean_after`, accuracies at the last evaluation before and the first after; `mean_drop`, their
    paired difference, with its Student-t 95 % interval; `num_recovered` reach what they had before within the level,
    after `mean_epochs_to_recover` of its epochs (1: at the first evaluation). `num_not_finite` trials had no finite
    loss at one of the two evaluations, `num_left_out` failed, diverged or are missing: neither are in the means.
    """
    trained = (
        results.filter((pl.col("pre_epochs") > 0) & (pl.col("density") < 1))
        .select(*_CELL, trial_key(), "outcome", "levels")
        .cache()  # used three times
    )
    cells = _cells(trained)
    numbered = trained.join(cells.select(*_CELL, "cell"), on=_CELL, nulls_equal=True)
    counted = numbered.filter(pl.col("outcome") == "completed").select("trial", "cell", "levels")
    rows = _evaluations(epochs).join(counted, on="trial").select("trial", *_EVENT, "epoch", "accuracy")
    accuracy, epoch = pl.col("accuracy"), pl.col("epoch")
    event = ["trial", *_EVENT]
    before = (
        rows.group_by(event)
        .agg(accuracy.filter(epoch == epoch.max()).first().alias("before"))
        .with_columns(pl.col("level") + 1)
    )
    recovered = epoch.filter(accuracy >= pl.col("before")).min()
    events = (
        rows.join(before, on=event)
        .group_by(event)
        .agg(
            pl.col("before").first(),
            accuracy.filter(epoch == epoch.min()).first().alias("after"),
            (recovered - epoch.min() + 1).alias("epochs_to_recover"),
        )
        .with_columns(is_known=pl.col("before").is_not_null() & pl.col("after").is_not_null())
    )
    known = pl.col("is_known")
    drop = (pl.col("before") - pl.col("after")).filter(known)
    width = half_width(pl.col("deviation"), pl.col("n"))
    return (
        events.group_by(_EVENT)
        .agg(
            known.sum().cast(pl.Int64).alias("n"),
            pl.col("before").filter(known).mean().alias("mean_before"),
            pl.col("after").filter(known).mean().alias("mean_after"),
            drop.mean().alias("mean_drop"),
            drop.std().alias("deviation"),
            pl.col("epochs_to_recover").filter(known).count().cast(pl.Int64).alias("num_recovered"),
            pl.col("epochs_to_recover").filter(known).mean().alias("mean_epochs_to_recover"),
            (~known).sum().cast(pl.Int64).alias("num_not_finite"),
        )
        .join(cells, on="cell")
        .join(_level_densities(rounds, counted), on=_EVENT, how="left")
        .with_columns(drop_low=pl.col("mean_drop") - width, drop_high=pl.col("mean_drop") + width)
        .select(
            *_CELL, "level", "level_density", "n", "mean_before", "mean_after", "mean_drop", "drop_low", "drop_high",
            "num_recovered", "mean_epochs_to_recover", "num_not_finite", "num_left_out",
        )
        .sort(*PANEL, "curve", "density", "level", descending=[False] * 4 + [True, False])
    )  # fmt: skip


def deepest(events: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of `table` on the way to each curve's sparsest network: sparser ones pass through the same levels."""
    return events.filter(pl.col("density") == pl.col("density").min().over(*PANEL, "curve"))


def swings(
    results: pl.LazyFrame, epochs: pl.LazyFrame, rounds: pl.LazyFrame, pruners: Collection[str] = DYNAMIC
) -> pl.LazyFrame:
    """How steady training was by curve and density, for some pruners: the largest fall from one epoch to the next.

    `mean_largest_fall` of test accuracy in the last level (0 where it never fell), with its Student-t 95 % interval,
    and `mean_fall_epoch`, the epoch that ended with it, over `n` completed trials of two finite evaluations or more;
    `mean_mask_changes` is how often their masks changed. `num_left_out` trials are in no mean.
    """
    chosen = (
        results.filter(pl.col("pruner").is_in(list(pruners)) & (pl.col("density") < 1))
        .select(*_CELL, trial_key(), "outcome")
        .cache()  # used twice
    )
    cells = _cells(chosen)
    numbered = (
        chosen.filter(pl.col("outcome") == "completed")
        .join(cells.select(*_CELL, "cell"), on=_CELL, nulls_equal=True)
        .select("trial", "cell")
    )
    rows = _evaluations(epochs).join(numbered, on="trial").drop_nulls("accuracy")
    last = rows.filter(pl.col("level") == pl.col("level").max().over("trial")).sort("trial", "epoch")
    fall = pl.col("accuracy").shift(1).over("trial") - pl.col("accuracy")
    each = (
        last.select("trial", "cell", "epoch", fall.alias("fall"))
        .drop_nulls("fall")
        .group_by("trial", "cell")
        .agg(
            pl.col("fall").max().clip(lower_bound=0).alias("largest_fall"),
            pl.col("epoch").get(pl.col("fall").arg_max()).alias("fall_epoch"),
        )
        .with_columns(pl.when(pl.col("largest_fall") > 0).then(pl.col("fall_epoch")))
        .join(rounds.group_by(trial_key()).agg(pl.len().alias("changes")), on="trial", how="left")
    )
    width = half_width(pl.col("deviation"), pl.col("n"))
    return (
        each.group_by("cell")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            pl.col("largest_fall").mean().alias("mean_largest_fall"),
            pl.col("largest_fall").std().alias("deviation"),
            pl.col("fall_epoch").mean().alias("mean_fall_epoch"),
            pl.col("changes").mean().alias("mean_mask_changes"),
        )
        .join(cells, on="cell")
        .with_columns(
            fall_low=pl.col("mean_largest_fall") - width,
            fall_high=pl.col("mean_largest_fall") + width,
            num_left_out=pl.col("num_trials") - pl.col("n"),
        )
        .select(
            *_CELL, "n", "mean_largest_fall", "fall_low", "fall_high", "mean_fall_epoch", "mean_mask_changes",
            "num_left_out",
        )
        .sort(*PANEL, "curve", "density", descending=[False] * 4 + [True])
    )  # fmt: skip


def plot(events: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of a collected `table`, each curve's sparsest network alone: a figure for a notebook or a paper."""
    palette = palette or Palette.of(events["curve"])
    panels = [
        panel(rows, palette, title=panel_title(key), width=380)
        for key, rows in deepest(events.lazy()).collect().partition_by(PANEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2)


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """A rule a pruning, from the accuracy before to that after it, at the sparsity that the pruning led to."""
    shown = rows.filter((pl.col("n") > 0) & pl.col("level_density").is_not_null()).with_columns(
        compression_ratio=1 / pl.col("level_density"),
        drop_text=pl.when(pl.col("drop_low").is_null())
        .then(pl.lit("none: one run"))
        .otherwise(pl.format("{} to {} points", *((100 * pl.col(f"drop_{end}")).round(1) for end in ("low", "high")))),
        recovered_text=pl.format("{} of {}", "num_recovered", "n"),
    )
    texts = sparsity_texts(shown["level_density"])
    shown = shown.with_columns(
        sparsity_text=pl.col("level_density").replace_strict(texts, return_dtype=pl.String),
        points=100 * pl.col("mean_drop"),
    )
    legend: Any = None if width == "container" else alt.Legend(title=None, symbolOpacity=1, labelLimit=0)
    scale = alt.Scale(zero=False)
    x = sparsity_axis(shown["level_density"])
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=legend)
    base = alt.Chart().encode(x=x)
    rule = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        y=alt.Y("mean_before:Q", scale=scale), y2="mean_after:Q", color=colour
    )
    marks = base.mark_point(size=46, filled=True, opacity=1).encode(
        y=alt.Y("mean_after:Q", title="test accuracy before and after", axis=PER_CENT, scale=scale),
        color=colour,
        shape=alt.Shape("curve:N", scale=palette.shape_scale(), legend=legend),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("level:Q", title="pruning"),
            alt.Tooltip("sparsity_text:N", title="to sparsity"),
            alt.Tooltip("mean_before:Q", title="before", format=".1%"),
            alt.Tooltip("mean_after:Q", title="first evaluation after", format=".1%"),
            alt.Tooltip("points:Q", title="drop in points", format=".1f"),
            alt.Tooltip("drop_text:N", title="95 % interval"),
            alt.Tooltip("recovered_text:N", title="recovered"),
            alt.Tooltip("mean_epochs_to_recover:Q", title="after epochs (mean)", format=".1f"),
            alt.Tooltip("n:Q", title="runs (n)"),
            alt.Tooltip("num_left_out:Q", title="not in the mean"),
        ],
    )
    return alt.LayerChart(data=inline(shown.drop(PANEL)), layer=[rule, marks], width=width, height=260, title=title)


def _cells(trials: pl.LazyFrame) -> pl.LazyFrame:
    """Curves and densities, numbered: the many rows of epochs meet a number, not labels."""
    usable = pl.col("outcome") == "completed"
    counts = [
        pl.len().cast(pl.Int64).alias("num_trials"),
        (~usable).sum().cast(pl.Int64).alias("num_left_out"),
    ]
    # sorted: worked out again, they must be numbered alike
    return trials.group_by(_CELL).agg(counts).sort(_CELL).with_row_index("cell")


def _evaluations(epochs: pl.LazyFrame) -> pl.LazyFrame:
    finite = pl.col("test_loss").is_finite().fill_null(False)
    accuracy = pl.when(finite).then(pl.col("test_accuracy"))
    return epochs.select(trial_key(), "level", "epoch", accuracy.alias("accuracy"))


def _level_densities(rounds: pl.LazyFrame, trials: pl.LazyFrame) -> pl.LazyFrame:
    """`level_density` by cell and level: what a level's last round leaves. A level has its share of the rounds."""
    rounds_a_level = pl.len().over("trial") / pl.col("levels")
    level = pl.col("round") / rounds_a_level
    return (
        rounds.select(trial_key(), "round", "density")
        .join(trials, on="trial")
        .select("cell", level.alias("level"), "density")
        .filter(pl.col("level") == pl.col("level").floor())
        .group_by("cell", pl.col("level").cast(pl.Int64))
        .agg(pl.col("density").max().alias("level_density"))
    )
