"""What is in a report, in the order of the page.

To add an analysis: write one file in `analysis/` with `table(...) -> LazyFrame`, `plot(frame, palette) -> chart` and
`panel(rows, palette) -> chart` for the page; name its table in `TABLES`, or in `DERIVED` if it is computed from
collected tables; and add its `Section`. All of `TABLES` are collected together, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from analysis import (
    accuracy,
    collapse,
    cost,
    curves,
    failures,
    findings,
    layers,
    noise,
    origins,
    overlap,
    pareto,
    progress,
    reference,
    settings,
    speedup,
    stability,
)
from analysis.labels import PANEL
from analysis.report.formats import count, number, of_density, percent, points, ratio, sparsity
from analysis.report.pivot import Pivot
from analysis.report.section import Column, Figure, Property, Row, Section, Sheet, Table, Tables
from analysis.sparsity import sparsity_texts

TABLES: Mapping[str, Table] = {
    "progress": progress.table,
    "accuracy": lambda store: accuracy.table(store.results),
    "shares": lambda store: collapse.shares(store.results),
    "collapse": lambda store: collapse.table(store.results),
    "layers": lambda store: layers.table(store.results, store.layers),
    "noise": lambda store: noise.table(store.results),
    "pareto": lambda store: pareto.table(store.results),
    "curves": lambda store: curves.for_page(store.results, store.epochs),
    "stability": lambda store: stability.deepest(stability.table(store.results, store.epochs, store.rounds)),
    "swings": lambda store: stability.swings(store.results, store.epochs, store.rounds),
    "overlap": lambda store: overlap.for_page(store.results, store.masks),
    "cost": lambda store: cost.table(store.results),
    "pace": lambda store: cost.pace(store.results),
    "speedup": lambda store: speedup.table(store.results),
    "failures": lambda store: failures.table(store.results),
    "settings": lambda store: settings.table(store.points),
    "environment": lambda store: settings.environment(store.results),
}
"""Lazy tables of a store, by name. "progress" and "accuracy" are needed by the page itself."""

TABLES_OF_SEVERAL: Mapping[str, Table] = {"stores": origins.table, "store_differences": origins.differences}
"""Those of several stores side by side."""

DERIVED: Mapping[str, Callable[[Tables], pl.DataFrame]] = {
    "pareto_front": lambda tables: pareto.front(tables["pareto"]),
}
"""Tables computed from collected ones, in this order: fits, for example."""

FINDINGS: tuple[Callable[[Tables], Iterable[str]], ...] = (
    lambda tables: findings.sentences(tables["accuracy"], tables["shares"]),
)
"""Sentences for the first screen, the most important first."""


def _where(row: Row) -> str:
    return f"{row['model_label']} on {row['dataset_label']}"


def _named(curves: list[str]) -> str:
    return "; ".join(curves) if len(curves) <= 3 else f"{len(curves)} pruners"


def _interval(low: str, high: str, shown: Callable[[float], str]) -> Callable[[Row], str]:
    """The interval of a row in words, nothing where it has none."""
    return lambda row: "" if row[low] is None else f"{shown(row[low])} to {shown(row[high])}"


def _at_sparsity(rows: pl.DataFrame) -> str:
    return f"at {next(iter(sparsity_texts(rows['density']).values()))} sparsity"


def _what_failed(tables: Tables) -> Iterable[str]:
    counts = tables["progress"].row(0, named=True)
    yield (
        f"{counts['num_failed']:,} failed, {counts['num_missing']:,} missing, {counts['num_diverged']:,} diverged "
        f"(completed with a loss that is not finite) of {counts['num_trials']:,} trials. None of them is in a mean."
    )


def _interval_of_pairs(row: Row) -> str:
    if row["interval_low"] is None:
        return "no interval: one run"
    return f"{points(row['interval_low'])} to {points(row['interval_high'])}"


def _panel(row: Row) -> str:
    return accuracy.panel_title((row["dataset_label"], row["model_label"], row["training_label"]))


def _of_stores(row: Row) -> str:
    return f"{row['other_store_name']} − {row['store_name']}, {_panel(row)}"


def _what_is_shared(tables: Tables) -> Iterable[str]:
    if "stores" not in tables:
        return
    rows = tables["store_differences"]
    if rows.is_empty():
        yield (
            "No point is in more than one of these stores: there is nothing to subtract. The curves above stand beside "
            "each other where data set, model and training are the same."
        )
        return
    pairs, equal = rows["n"].sum(), rows["num_equal"].sum()
    yield (
        f"{rows.height:,} points of the grid are in more than one store, with {pairs:,} pairs of runs of one "
        f"configuration; {equal:,} of these pairs have the same accuracy to the last bit."
    )


def _properties(table: str) -> Callable[[Tables], Iterable[Property]]:
    def of(tables: Tables) -> Iterable[Property]:
        for row in tables[table].iter_rows(named=True):
            if row["num_values"]:
                folded = table == "settings" and settings.is_default(row["name"], row["values"])
                yield Property(name=row["name"], values=row["values"], num_values=row["num_values"], folded=folded)

    return of


STORES = Section(
    name="stores",
    heading="The stores side by side",
    intro="Differences in final-epoch test accuracy at equal points, paired run by run: each pair has the same "
    "configuration and the same seeds. In percentage points.",
    paragraphs=_what_is_shared,
    sheets=(
        Sheet(
            of="stores",
            columns=(
                Column("store_name", "store"),
                Column("num_trials", "trials", count),
                Column("num_completed", "completed", count),
                Column("num_diverged", "diverged", count),
                Column("num_failed", "failed", count),
                Column("num_missing", "missing", count),
                Column("num_shared", "also in another store", count),
            ),
        ),
        Sheet(
            of="store_differences",
            title="Differences at equal points",
            columns=(
                Column("shared_curve", "pruner", detail=_of_stores),
                Column("density", "sparsity", of_density),
                Column("mean_accuracy", "first (%)", percent),
                Column("other_mean_accuracy", "other (%)", percent),
                Column("mean_difference", "difference", points, _interval_of_pairs),
                Column("n", "pairs (n)", count),
                Column("num_equal", "equal to the bit", count),
                Column("num_unpaired", "unpaired", count),
            ),
        ),
    ),
    note="Unpaired: failed, diverged or missing in one of the two stores. Intervals: Student-t, 95 %, over the pairs.",
)

REFERENCE = Section(
    name="reference",
    heading="Against published curves",
    intro="Published means are thin lines with small diamonds, in the colour of the curve they belong to.",
    figures=(
        Figure(
            of="overlay",
            name="reference",
            by=("dataset_label", "model_label", "training_label"),
            panel=reference.panel,
            plot=reference.plot,
        ),
    ),
    sheets=(
        Sheet(
            of="reference",
            title="Differences where both have a point",
            columns=(
                Column("curve", "pruner", detail=_panel),
                Column("published", "published as"),
                Column("density", "sparsity", of_density),
                Column("mean_accuracy", "ours (%)", percent, lambda row: f"n={row['n']}"),
                Column("published_accuracy", "theirs (%)", percent, lambda row: f"n={row['published_n']}"),
                Column("difference", "difference", points, _interval_of_pairs),
            ),
        ),
        Sheet(
            of="unmatched",
            title="Without a partner",
            columns=(
                Column("curve", "curve"),
                Column("side", "side"),
                Column("num_points", "points", count),
                Column("reason", "why"),
            ),
        ),
    ),
    note="Differences are ours − theirs in percentage points, with Welch's 95 % interval where both have two runs or "
    "more: other people's runs are not paired with ours.",
)

SECTIONS: tuple[Section, ...] = (
    Section(
        name="accuracy",
        heading="Accuracy against compression",
        intro="Test accuracy after the final epoch: mean over runs, with 95 % intervals as bands. A hollow mark: at "
        "least one of its networks has collapsed; it stays in the mean. Select a name to hide or show its curve.",
        figures=(
            Figure(
                of="accuracy",
                by=("dataset_label", "model_label", "training_label"),
                panel=accuracy.panel,
                plot=accuracy.plot,
            ),
        ),
    ),
    STORES,
    REFERENCE,
    Section(
        name="collapse",
        heading="Layer-collapse",
        intro="How many networks have a layer without a single weight left: a full cell means all of them, a faint one "
        "none.",
        figures=(Figure(of="shares", name="collapse", panel=collapse.panel, plot=collapse.plot),),
        sheets=(
            Sheet(
                of="collapse",
                measured="sparsest_n",
                columns=(
                    Column("curve", "pruner", detail=_where),
                    Column("largest_sparsity_without", "largest sparsity without collapse", sparsity),
                    Column("smallest_sparsity_with", "smallest sparsity with collapse", sparsity),
                    Column("sparsest", "sparsest point", sparsity),
                    Column("sparsest_share", "collapsed there (%)", percent, lambda row: f"n={row['sparsest_n']}"),
                    Column(
                        "max_compression_ratio",
                        "maximal compression",
                        ratio,
                        lambda row: sparsity(row["max_compression_sparsity"]),
                    ),
                ),
            ),
        ),
        note="Collapse need not grow steadily with sparsity, so both ends are given; both are points of the grid. "
        "Maximal compression leaves one weight a layer: prunable weights / prunable layers.",
    ),
    Section(
        name="layers",
        heading="Where the weights go",
        intro="Weights kept in each layer at the sparsest point of the grid: the fuller the cell, the more is kept (in "
        "decades). ✕ marks a layer that is empty, with the number of runs where it is not empty in all.",
        figures=(Figure(of="layers", panel=layers.panel, plot=layers.plot, note=_at_sparsity),),
    ),
    Section(
        name="accuracy-table",
        heading="Accuracy in numbers",
        intro="Final-epoch test accuracy in per cent, mean ± half of the 95 % interval. ○ at least one of these "
        "networks has collapsed. Trials that are not in the mean are named in the cell.",
        sheets=(Pivot(of="accuracy"),),
    ),
    Section(
        name="noise",
        heading="How fine a difference can be seen",
        intro="All runs see the same test images, so the intervals over seeds do not contain this noise.",
        paragraphs=lambda tables: [noise.sentence(row) for row in tables["noise"].iter_rows(named=True)],
    ),
    Section(
        name="pareto",
        heading="What accuracy costs",
        intro="Mean accuracy against density, multiply-accumulates of an image and training time, cheaper to the "
        "right: the line joins what nothing else beats on both counts, all else is faint.",
        figures=(Figure(of="pareto", by=tuple(pareto.FRONT), panel=pareto.panel, plot=pareto.plot),),
        sheets=(
            Sheet(
                of="pareto_front",
                title="On the front",
                columns=(
                    Column("curves", "pruner", _named, lambda row: pareto.title([row[name] for name in pareto.FRONT])),
                    Column("sparsity", "sparsity", sparsity),
                    Column("value", "cost", ratio),
                    Column(
                        "mean_accuracy", "accuracy (%)", percent, _interval("interval_low", "interval_high", percent)
                    ),
                    Column("n", "n", count),
                ),
            ),
        ),
        note="Fronts are of means: cells that differ by less than their intervals can change places. Networks without "
        "a multiplication left are not drawn; seconds are of one kind of machine each, and of trials that share none.",
    ),
    Section(
        name="training",
        heading="Training",
        intro="Means after each epoch with 95 % intervals, of the network that is reported and over the trials that "
        "ended with a finite loss; sparsity and what is shown are chosen below a chart.",
        figures=(Figure(of="curves", by=tuple(PANEL), panel=curves.panel, plot=curves.plot, note=curves.note),),
    ),
    Section(
        name="stability",
        heading="What a pruning does to a network in training",
        intro="Test accuracy at the last evaluation before each pruning and, at the mark, at the first after it: up to "
        "an epoch of training later, and after the rewind where there is one.",
        figures=(Figure(of="stability", by=tuple(PANEL), panel=stability.panel, plot=stability.plot),),
        sheets=(
            Sheet(
                of="swings",
                title="Masks that change while the network trains",
                columns=(
                    Column("curve", "pruner", detail=_where),
                    Column("density", "sparsity", of_density),
                    Column("mean_mask_changes", "mask changes", number),
                    Column(
                        "mean_largest_fall",
                        "largest fall in an epoch (points)",
                        percent,
                        _interval("fall_low", "fall_high", percent),
                    ),
                    Column("mean_fall_epoch", "in epoch (mean)", number),
                    Column("n", "n", count, lambda row: f"{row['num_left_out']} left out" * (row["num_left_out"] > 0)),
                ),
            ),
        ),
    ),
    Section(
        name="overlap",
        heading="Do pruners keep the same weights?",
        intro="Jaccard index of the weights that two masks keep, at equal seeds between pruners and on the diagonal "
        "between the first three seeds of one pruner: 1 where they are the same.",
        figures=(
            Figure(
                of="overlap",
                by=tuple(PANEL),
                panel=overlap.panel,
                plot=overlap.plot,
                note=_at_sparsity,
                measured="num_defined",
            ),
        ),
    ),
    Section(
        name="cost",
        heading="What the sweep cost",
        intro="Hours of a slot (a core, or a GPU or its share) that trials recorded, each trial once and each kind of "
        "machine by itself.",
        figures=(Figure(of="cost", by=("machine",), panel=cost.panel, plot=cost.plot, measured="num_trials"),),
        sheets=(
            Sheet(
                of="cost",
                measured="num_trials",
                columns=(
                    Column("value", "what", detail=lambda row: f"{row['axis']}, {row['machine']}"),
                    Column("total_hours", "slot-hours", number),
                    Column("share", "share (%)", percent),
                    *(Column(f"{phase}_hours", phase, number) for phase in cost.PHASES),
                    Column("num_trials", "trials", count),
                    Column("num_untimed", "failed, untimed", count),
                ),
            ),
            Sheet(
                of="pace",
                title="Trials an hour",
                columns=(
                    Column("run_id", "run", detail=lambda row: row["machine"]),
                    Column("num_trials", "trials", count),
                    Column("num_failed", "failed", count),
                    Column("wall_hours", "hours, first to last", number),
                    Column("trials_an_hour", "trials an hour", ratio),
                    Column("slots", "slots at work (mean)", number),
                ),
            ),
        ),
    ),
    Section(
        name="speedup",
        heading="How much faster sparse networks train",
        intro="Seconds an epoch of the dense network over those of the pruned one, in medians: same data, model, "
        "recipe and machine; disconnected networks, which train on labels alone, are left out.",
        figures=(
            Figure(of="speedup", by=tuple(speedup.KEYS), panel=speedup.panel, plot=speedup.plot, measured="speedup"),
        ),
    ),
    Section(
        name="failures",
        heading="What failed",
        intro="Failed trials by error, so that one cause is one line however many trials it hit.",
        paragraphs=_what_failed,
        sheets=(
            Sheet(
                of="failures",
                columns=(
                    Column("error_type", "error"),
                    Column("error_message", "message"),
                    Column("num_trials", "trials", count),
                    Column("num_attempts", "attempts", count),
                    Column("curves", "under"),
                    Column("example_trial_id", "for example"),
                ),
            ),
        ),
    ),
    Section(
        name="settings",
        heading="Settings of the sweep",
        intro="Every setting of the grid with its values.",
        properties=_properties("settings"),
    ),
    Section(
        name="environment",
        heading="Code and machines",
        intro="What the trials that answer the grid recorded of what ran them.",
        properties=_properties("environment"),
    ),
)
