"""What do more rounds of pruning buy at each sparsity? Accuracy, collapse and the largest cut over rounds x sparsity.

A pruner with several numbers of rounds is one method here: its curves less the rounds. The largest cut is figure 7's of
the SynFlow paper: the score removed in a round over the flow R, one layer's total score, the largest of a network's
rounds. Where scores are conserved, below 1 suffices that no layer collapses, and is not necessary.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import polars as pl

from analysis.inline_data import inline
from analysis.labels import PANEL, without_rounds
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts
from analysis.trial_key import TRIAL

METHOD = [*PANEL, "method"]
"""What one diagram is of."""
ROW_PIXELS = 26
MOST_TEXTS = 9
"""Where the grid has more columns, a cell has no room for its number: there it is in the tooltip alone."""
MEASURES = {
    "mean_accuracy": "accuracy (%)",
    "collapsed_share": "collapsed (%)",
    "mean_largest_cut": "largest cut / R",
}
"""What a diagram can be coloured by."""


def table(results: pl.LazyFrame, rounds: pl.LazyFrame) -> pl.LazyFrame:
    """Cells by panel, method, iterations and density, of methods with several numbers of iterations, pruned only.

    `mean_accuracy` is of `n` trials, collapsed ones included; `num_diverged`, `num_failed` and `num_missing` are not in
    it. `collapsed_share` is `num_collapsed` of the `num_pruned` that completed, diverged ones included.
    `mean_largest_cut` is over `num_cut` of these: where nothing flows before a cut there is no ratio, and a trial
    without any has none.
    """
    several = pl.col("iterations").n_unique().over(METHOD) > 1
    cells = results.filter(pl.col("density") < 1).with_columns(method=without_rounds(pl.col("curve")))
    usable, completed = pl.col("outcome") == "completed", pl.col("status") == "completed"
    methods = cells.select(*METHOD, "iterations").unique().filter(several).select(METHOD).unique()
    ratio = pl.col("score_cut") / pl.col("flow")
    chosen = cells.join(methods, on=METHOD, how="semi")
    cuts = (
        rounds.select(*TRIAL, "score_cut", "flow")
        .filter((pl.col("flow") != 0) & ratio.is_finite())
        .join(chosen.select(TRIAL), on=TRIAL, how="semi")
        .group_by(TRIAL)
        .agg(ratio.max().alias("largest_cut"))
    )
    accuracy = pl.when(usable).then("final_test_accuracy")
    largest_cut = pl.when(completed).then("largest_cut")
    return (
        chosen.select(
            *METHOD, "curve", "iterations", "density", *TRIAL, "outcome", "status", "collapsed_layers",
            "final_test_accuracy",
        )
        .join(cuts, on=TRIAL, how="left")
        .group_by(*METHOD, "curve", "iterations", "density")
        .agg(
            accuracy.count().cast(pl.Int64).alias("n"),
            accuracy.mean().alias("mean_accuracy"),
            completed.sum().cast(pl.Int64).alias("num_pruned"),
            (completed & (pl.col("collapsed_layers") > 0)).sum().cast(pl.Int64).alias("num_collapsed"),
            largest_cut.count().cast(pl.Int64).alias("num_cut"),
            largest_cut.mean().alias("mean_largest_cut"),
            *(
                (pl.col("outcome") == outcome).sum().cast(pl.Int64).alias(f"num_{outcome}")
                for outcome in ("diverged", "failed", "missing")
            ),
        )
        .with_columns(
            collapsed_share=pl.when(pl.col("num_pruned") > 0).then(pl.col("num_collapsed") / pl.col("num_pruned")),
            compression_ratio=1 / pl.col("density"),
        )
        .select(
            *METHOD, "curve", "iterations", "density", "compression_ratio", "n", "mean_accuracy",
            "num_pruned", "num_collapsed", "collapsed_share", "num_cut", "mean_largest_cut",
            "num_diverged", "num_failed", "num_missing",
        )
        .sort(*METHOD, "iterations", "compression_ratio")
    )  # fmt: skip


def plot(cells: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All diagrams of a collected `table`, each by accuracy, collapse and cut: a figure for a notebook or a paper."""
    diagrams = [
        alt.hconcat(*(diagram(rows, measure, title=f"{_title(key)}: {text}", width=300)
                      for measure, text in MEASURES.items()))
        for key, rows in cells.partition_by(METHOD, as_dict=True, maintain_order=True).items()
    ]  # fmt: skip
    return alt.concat(*diagrams, columns=1)


def panel(rows: pl.DataFrame, palette: Palette) -> alt.LayerChart:
    """One method's diagram for the page, with a choice of what its cells are coloured by."""
    chosen = alt.param(
        name="measure",
        value="mean_accuracy",
        bind=alt.binding_radio(options=list(MEASURES), labels=list(MEASURES.values()), name="colour: "),
    )
    return diagram(rows, "measure", width="container").add_params(chosen)


def diagram(
    rows: pl.DataFrame, measure: str, *, title: str = "", width: float | Literal["container"] = "container"
) -> alt.LayerChart:
    """One method's cells, coloured by a column of `MEASURES`, or by the one that the parameter `measure` names.

    Dark is high: accuracy and share from 0 to 1; the cut on r / (1 + r), so that 1 is half-way. A cell without a value
    is hollow.
    """
    densities = sorted(set(rows["density"]), reverse=True)
    texts = sparsity_texts(densities)
    cut = pl.col("mean_largest_cut")
    shown = rows.with_columns(
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
        mean_accuracy_level=pl.col("mean_accuracy"),
        collapsed_share_level=pl.col("collapsed_share"),
        mean_largest_cut_level=cut / (1 + cut),
        mean_accuracy_text=_percent("mean_accuracy"),
        collapsed_share_text=_percent("collapsed_share"),
        mean_largest_cut_text=cut.round_sig_figs(2).cast(pl.String).str.strip_suffix(".0"),
        collapsed_text=pl.format("{} of {}", "num_collapsed", "num_pruned"),
        absent=pl.col("num_diverged") + pl.col("num_failed") + pl.col("num_missing"),
    )

    def of_measure(kind: str) -> str:
        """An expression for the level or text to show; it names every field that it can be, so that all are kept."""
        if measure in MEASURES:
            return f"datum.{measure}_{kind}"
        return " : ".join([f"{measure} === '{one}' ? datum.{one}_{kind}" for one in MEASURES] + ["null"])

    base: Any = (
        alt.Chart(inline(shown))
        .transform_calculate(level=of_measure("level"), text=of_measure("text"))
        .encode(
            x=alt.X(
                "sparsity_text:O",
                title="sparsity: weights removed",
                sort=list(texts.values()),
                scale=alt.Scale(paddingInner=0.04, paddingOuter=0),
                axis=alt.Axis(labelAngle=0, ticks=False, domain=False, labelOverlap="parity"),
            ),
            y=alt.Y(
                "iterations:O",
                title="rounds",
                sort="descending",
                scale=alt.Scale(paddingInner=0.06, paddingOuter=0),
                axis=alt.Axis(ticks=False, domain=False),
            ),
            tooltip=[
                alt.Tooltip("method:N", title="pruner"),
                alt.Tooltip("iterations:Q", title="rounds"),
                alt.Tooltip("sparsity_text:N", title="sparsity"),
                alt.Tooltip("mean_accuracy:Q", title="mean accuracy", format=".1%"),
                alt.Tooltip("n:Q", title="runs in the mean (n)"),
                alt.Tooltip("collapsed_text:N", title="collapsed"),
                alt.Tooltip("mean_largest_cut:Q", title="largest cut / R (mean)", format=".3g"),
                alt.Tooltip("num_cut:Q", title="runs with a cut"),
                alt.Tooltip("absent:Q", title="diverged, failed, missing"),
            ],
        )
    )
    blank = "!isValid(datum.level)"
    cells = base.mark_rect(cornerRadius=3, stroke="#888888", strokeWidth=0.5).encode(
        color=alt.condition(
            blank,
            alt.value("transparent"),
            alt.Color("level:Q", scale=alt.Scale(domain=[0, 1], scheme="viridis", reverse=True), legend=None),
        )
    )
    layers = [cells]
    if len(densities) <= MOST_TEXTS:
        layers.append(
            base.mark_text(fontSize=10.5).encode(
                text="text:N", color=alt.condition("datum.level > 0.45", alt.value("white"), alt.value("#111111"))
            )
        )
    height = ROW_PIXELS * rows["iterations"].n_unique()
    return alt.LayerChart(layer=layers, width=width, height=height, title=title)


def _percent(column: str) -> pl.Expr:
    return (100 * pl.col(column)).round(0).cast(pl.Int64).cast(pl.String)


def _title(key: tuple[Any, ...]) -> str:
    dataset, model, training, method = key
    return ", ".join(part for part in (f"{model} on {dataset}", training, method) if part)
