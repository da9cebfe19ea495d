"""How did training go? Losses and test accuracy by epoch, for each curve and density.

Means are over the same trials in every epoch: those that ended with a finite test loss. A trial that diverged would
leave its mean half-way and bend it, so it is in none and counted beside. Of a trial in them, an epoch whose test loss
is not finite is left out and counted too.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import polars as pl

from analysis.accuracy import half_width, panel_title
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts
from analysis.trial_key import TRIAL, trial_key

MEASURES = ("test accuracy", "test loss", "training loss")
_COLUMNS = dict(zip(MEASURES, ("test_accuracy", "test_loss", "train_loss"), strict=True))
_CELL = [*PANEL, "curve", "density"]
MOST_EPOCHS = 60
"""Of a curve on the page."""
MOST_ROWS = 1500
"""Of a panel on the page: with many curves, fewer epochs of each."""
LEAST_EPOCHS = 10
MOST_DENSITIES = 5
"""Of a panel on the page: from the densest to the sparsest in even steps of the grid."""


def table(results: pl.LazyFrame, epochs: pl.LazyFrame) -> pl.LazyFrame:
    """Means by curve, density, level and epoch, in that order.

    `n` trials are in `mean_test_accuracy` and `mean_test_loss` with their Student-t 95 % intervals (`low_...`,
    `high_...`, null for n < 2), `n_train_loss` in `mean_train_loss`; `num_not_finite` have no finite test loss in this
    epoch, `num_ended` no row of it at all. `num_trials` of the cell ended with a finite loss; `num_diverged`,
    `num_failed` and `num_missing` did not and are in no mean; `num_collapsed` of the `num_trials` have an empty layer.
    `is_last_level` tells the training of the network that is reported.
    """
    completed = pl.col("outcome") == "completed"
    trials = results.select(*_CELL, *TRIAL, "outcome", "collapsed_layers").cache()  # used twice
    cells = (
        trials.group_by(_CELL)
        .agg(
            completed.sum().cast(pl.Int64).alias("num_trials"),
            (completed & (pl.col("collapsed_layers") > 0)).sum().cast(pl.Int64).alias("num_collapsed"),
            *(
                (pl.col("outcome") == outcome).sum().cast(pl.Int64).alias(f"num_{outcome}")
                for outcome in ("diverged", "failed", "missing")
            ),
        )
        .sort(_CELL)  # worked out twice, it must number alike
        .with_row_index("cell")
    )
    # the many rows of epochs meet a number a trial, not its labels
    numbered = (
        trials.filter(completed)
        .join(cells.select(*_CELL, "cell"), on=_CELL, nulls_equal=True)
        .select(trial_key(), "cell")
    )
    finite = pl.col("test_loss").is_finite().fill_null(False)
    measured = list(_COLUMNS.values())
    known = {"test_accuracy": finite, "test_loss": finite, "train_loss": finite & pl.col("train_loss").is_finite()}
    n = {"test_accuracy": "n", "test_loss": "n", "train_loss": "n_train_loss"}
    by_epoch = (
        epochs.select(trial_key(), "level", "epoch", *measured)
        .with_columns(pl.when(known[name]).then(pl.col(name)).alias(name) for name in measured)
        .join(numbered, on="trial")
        .group_by("cell", "level", "epoch")
        .agg(
            pl.len().cast(pl.Int64).alias("num_rows"),
            pl.col("test_loss").count().cast(pl.Int64).alias("n"),
            pl.col("train_loss").count().cast(pl.Int64).alias("n_train_loss"),
            *(pl.col(name).mean().alias(f"mean_{name}") for name in measured),
            *(pl.col(name).std().alias(f"deviation_{name}") for name in measured),
        )
    )
    widths = {name: half_width(pl.col(f"deviation_{name}"), pl.col(n[name])) for name in measured}
    return (
        by_epoch.join(cells, on="cell")
        .with_columns(
            num_not_finite=pl.col("num_rows") - pl.col("n"),
            num_ended=pl.col("num_trials") - pl.col("num_rows"),
            is_last_level=pl.col("level") == pl.col("level").max().over("cell"),
            **{f"low_{name}": pl.col(f"mean_{name}") - widths[name] for name in measured},
            **{f"high_{name}": pl.col(f"mean_{name}") + widths[name] for name in measured},
        )
        .select(
            *_CELL, "level", "is_last_level", "epoch",
            "n", *(f"{what}_{name}" for name in measured[:2] for what in ("mean", "low", "high")),
            "n_train_loss", *(f"{what}_train_loss" for what in ("mean", "low", "high")),
            "num_not_finite", "num_ended", "num_trials", "num_collapsed", "num_diverged", "num_failed", "num_missing",
        )
        .sort(*PANEL, "curve", "density", "level", "epoch", descending=[False] * 4 + [True] + [False] * 2)
    )  # fmt: skip


def for_page(results: pl.LazyFrame, epochs: pl.LazyFrame) -> pl.LazyFrame:
    """A `table` that a page can hold: a few densities a panel, the last level, epochs in even steps with the last.

    `num_densities` and `num_epochs` say how many there are of the panel and of the curve.
    """
    results = results.select(*_CELL, *TRIAL, "outcome", "collapsed_layers").cache()
    densities = results.filter(pl.col("outcome") == "completed").select(*PANEL, "density").unique()
    place = pl.col("density").rank("dense", descending=True).over(PANEL).cast(pl.Int64) - 1
    num = pl.col("density").len().over(PANEL).cast(pl.Int64)
    steps = [
        ((num - 1) * step / (MOST_DENSITIES - 1)).round().cast(pl.Int64) == place for step in range(MOST_DENSITIES)
    ]
    few = densities.with_columns(num_densities=num).filter(pl.any_horizontal(steps))
    curves = pl.struct("curve", "density").n_unique().over(PANEL)
    most = (MOST_ROWS // curves).clip(LEAST_EPOCHS, MOST_EPOCHS).cast(pl.Int64)
    count = pl.len().over(_CELL).cast(pl.Int64)
    number = pl.int_range(pl.len()).over(_CELL) + 1
    stride = (count - 1) // most + 1
    return (
        table(results.join(few.select(*PANEL, "density"), on=[*PANEL, "density"], how="semi"), epochs)
        .filter(pl.col("is_last_level"))
        .with_columns(num_epochs=count)
        .filter(((count - number) % stride) == 0)
        .join(few, on=[*PANEL, "density"], maintain_order="left")
    )


def note(rows: pl.DataFrame) -> str:
    """What of a panel's grid and epochs `for_page` shows, where that is not all."""
    counts = {
        "sparsities": (rows["density"].n_unique(), max(rows["num_densities"])),
        "epochs": (rows["epoch"].n_unique(), max(rows["num_epochs"])),
    }
    return ", ".join(f"{shown} of {num} {what}" for what, (shown, num) in counts.items() if shown < num)


def plot(means: pl.DataFrame, palette: Palette | None = None, *, measure: str = MEASURES[0]) -> alt.ConcatChart:
    """A chart a panel and density of a collected table, last levels only: a figure for a notebook or a paper.

    `measure` is one of `MEASURES`.
    """
    palette = palette or Palette.of(means["curve"])
    last = means.filter(pl.col("is_last_level"))
    texts = sparsity_texts(last["density"])
    parts = [
        _layers(rows, palette, legend=True).properties(
            title=f"{panel_title(tuple(key))}, {texts[density]}", width=260, height=180
        )
        for (*key, density), rows in last.partition_by([*PANEL, "density"], as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*parts, columns=3).add_params(alt.param(name="measure", value=measure))


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """One panel with a choice of sparsity and of what is measured. Bands are the intervals."""
    texts = sparsity_texts(rows["density"])
    choices = [texts[density] for density in sorted(set(rows["density"]), reverse=True)]
    chart: alt.LayerChart = (
        _layers(rows, palette, legend=width != "container")
        .properties(width=width, height=260, title=title)
        .transform_filter("datum.sparsity == sparsity")
        .add_params(
            alt.param(
                name="sparsity",
                value=choices[len(choices) // 2],
                bind=alt.binding_select(options=choices, name="sparsity "),
            ),
            alt.param(
                name="measure", value=MEASURES[0], bind=alt.binding_select(options=list(MEASURES), name="shown ")
            ),
        )
    )
    return chart


def _layers(rows: pl.DataFrame, palette: Palette, *, legend: bool) -> alt.LayerChart:
    """Bands and lines of what the parameter `measure` names."""
    key: Any = alt.Legend(title=None, symbolOpacity=1, labelLimit=0) if legend else None
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=key)
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False))
    scale = alt.Scale(zero=False)
    percent = f"measure == '{MEASURES[0]}' ? format(100 * datum.value, '~g') + ' %' : datum.label"
    axis = alt.Axis(labelExpr=percent, tickCount=6)
    base = (
        alt.Chart()
        .transform_calculate(mean="datum[measure]", low="datum[measure + ' low']", high="datum[measure + ' high']")
        .transform_filter("isValid(datum.mean)")
    )
    band = base.mark_area(opacity=0.1).encode(x=x, y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q", color=colour)
    line = base.mark_line(strokeWidth=1.8, point=alt.OverlayMarkDef(size=14, filled=True)).encode(
        x=x,
        y=alt.Y("mean:Q", title=None, scale=scale, axis=axis),
        color=colour,
        strokeDash=alt.StrokeDash("curve:N", scale=palette.dash_scale(), legend=key),
        tooltip=[
            alt.Tooltip("curve:N"),
            alt.Tooltip("epoch:Q"),
            alt.Tooltip("mean:Q", title="mean", format=".4~g"),
            alt.Tooltip("low:Q", title="95 % interval from", format=".4~g"),
            alt.Tooltip("high:Q", title="to", format=".4~g"),
            alt.Tooltip("n:Q", title="runs (n)"),
            alt.Tooltip("out:Q", title="not in the mean"),
        ],
    )
    return alt.LayerChart(data=_data(rows), layer=[band, line])


def _data(rows: pl.DataFrame) -> alt.InlineData:
    """What the chart draws. Bands end where no accuracy and no loss can be."""
    texts = sparsity_texts(rows["density"])
    left_out = pl.sum_horizontal("num_not_finite", "num_ended", "num_diverged", "num_failed", "num_missing")
    numbers = {
        f"{measure}{suffix}": f"{what}_{column}"
        for measure, column in _COLUMNS.items()
        for what, suffix in (("mean", ""), ("low", " low"), ("high", " high"))
    }
    shown = rows.select(
        "curve",
        pl.col("density").replace_strict(texts, return_dtype=pl.String).alias("sparsity"),
        "epoch",
        "n",
        left_out.alias("out"),
        *(
            pl.col(column).clip(0, 1 if column.endswith("accuracy") else None).alias(name)
            for name, column in numbers.items()
        ),
    )
    return inline(shown)
