"""What is in a report, in the order of the page.

To add an analysis: write one file in `analysis/` with `table(...) -> LazyFrame`, `plot(frame, palette) -> chart` and
`panel(rows, palette) -> chart` for the page; name its table in `TABLES`, or in `DERIVED` if it is computed from
collected tables; and add its `Section`. `TABLES` are collected from one copy of the results in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from analysis import accuracy, collapse, failures, findings, layers, noise, progress, settings
from analysis.report.formats import count, percent, ratio, sparsity
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
    "failures": lambda store: failures.table(store.results),
    "settings": lambda store: settings.table(store.points),
    "environment": lambda store: settings.environment(store.results),
}
"""Lazy tables of a store, by name. "progress" and "accuracy" are needed by the page itself."""

DERIVED: Mapping[str, Callable[[Tables], pl.DataFrame]] = {}
"""Tables computed from collected ones, in this order: fits, for example."""

FINDINGS: tuple[Callable[[Tables], Iterable[str]], ...] = (
    lambda tables: findings.sentences(tables["accuracy"], tables["shares"]),
)
"""Sentences for the first screen, the most important first."""


def _where(row: Row) -> str:
    return f"{row['model_label']} on {row['dataset_label']}"


def _at_sparsity(rows: pl.DataFrame) -> str:
    return f"at {next(iter(sparsity_texts(rows['density']).values()))} sparsity"


def _what_failed(tables: Tables) -> Iterable[str]:
    counts = tables["progress"].row(0, named=True)
    yield (
        f"{counts['num_failed']:,} failed, {counts['num_missing']:,} missing, {counts['num_diverged']:,} diverged "
        f"(completed with a loss that is not finite) of {counts['num_trials']:,} trials. None of them is in a mean."
    )


def _properties(table: str) -> Callable[[Tables], Iterable[Property]]:
    def of(tables: Tables) -> Iterable[Property]:
        for row in tables[table].iter_rows(named=True):
            if row["num_values"]:
                yield Property(name=row["name"], values=row["values"], num_values=row["num_values"])

    return of


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
