"""What is in a report, in the order of the page.

To add an analysis: write one file in `analysis/` with `table(...) -> LazyFrame`, `plot(frame, palette) -> chart` and
`panel(rows, palette) -> chart` for the page; name its table in `TABLES`, or in `DERIVED` if it is computed from
collected tables; and add its `Section`. All of `TABLES` are collected together, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from analysis import accuracy, collapse, comparisons, crossings, failures, findings, layers, noise, progress, settings
from analysis.laws import joint, power, prediction
from analysis.laws import points as law_points
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
    "comparisons": lambda store: comparisons.table(store.results),
    "law_points": lambda store: law_points.table(store.results),
    "noise": lambda store: noise.table(store.results),
    "failures": lambda store: failures.table(store.results),
    "settings": lambda store: settings.table(store.points),
    "environment": lambda store: settings.environment(store.results),
}
"""Lazy tables of a store, by name. "progress" and "accuracy" are needed by the page itself."""

DERIVED: Mapping[str, Callable[[Tables], pl.DataFrame]] = {
    "standings": lambda tables: comparisons.standings(tables["comparisons"].lazy()).collect(),
    "crossings": lambda tables: crossings.table(tables["comparisons"]),
    "power_points": lambda tables: power.fitted(tables["law_points"].lazy()).collect(),
    "power": lambda tables: power.table(tables["law_points"].lazy()).collect(),
    "joint": lambda tables: joint.table(tables["law_points"]),
    "predictions": lambda tables: prediction.predictions(tables["law_points"]),
    "prediction": lambda tables: prediction.table(tables["law_points"], tables["predictions"]),
}
"""Tables computed from collected ones, in this order: fits, for example."""

FINDINGS: tuple[Callable[[Tables], Iterable[str]], ...] = (
    lambda tables: findings.sentences(
        *(tables[name] for name in ("accuracy", "shares", "comparisons", "crossings", "predictions"))
    ),
)
"""Sentences for the first screen, the most important first."""


def _where(row: Row) -> str:
    return f"{row['model_label']} on {row['dataset_label']}"


def _at_sparsity(rows: pl.DataFrame) -> str:
    return f"at {next(iter(sparsity_texts(rows['density']).values()))} sparsity"


def _with_training(row: Row) -> str:
    return ", ".join(filter(None, [_where(row), row["training_label"]]))


def _family(row: Row) -> str:
    return ", ".join(filter(None, [f"{row['family']} on {row['dataset_label']}", row["training_label"]]))


def _span(name: str, format: Callable[[float], str]) -> Callable[[Row], str]:
    """The interval of a constant, below it."""

    def of(row: Row) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return "" if low is None else f"{format(low)} to {format(high)}"

    return of


def _led(density: str, lead: str) -> Callable[[Row], str]:
    return lambda row: f"by {points(row[lead]).lstrip('+')} points at {of_density(row[density])}"


def _crossed(row: Row) -> str:
    return f"{of_density(row['interval_dense'])} to {of_density(row['interval_sparse'])}"


def _not_in_law(row: Row) -> str:
    parts = {
        "on the dense plateau": row["num_dense_plateau"],
        "on guessing's": row["num_guessing_plateau"],
        "without an error": row["num_no_error"],
        "trials collapsed": row["num_collapsed"],
        "without a result": row["num_absent"],
    }
    return ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)


def _not_in_joint_law(row: Row) -> str:
    parts = {"points unusable": row["num_unusable"], "trials collapsed": row["num_collapsed"]}
    return ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)


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
        name="comparisons",
        heading="Who is ahead where",
        intro="Of how many other pruners each is ahead in paired differences over seeds, after Holm's correction: "
        "+2 −1 is ahead of two and behind one, an empty cell is told apart from none, a missing one shares fewer than "
        "five seeds with any.",
        figures=(
            Figure(
                of="standings",
                name="comparisons",
                by=("dataset_label", "model_label", "training_label"),
                panel=comparisons.panel,
                plot=comparisons.plot,
            ),
        ),
        sheets=(
            Sheet(
                of="crossings",
                title="Where two pruners change places",
                columns=(
                    Column("leader_after", "ahead after", detail=_with_training),
                    Column("leader_before", "ahead before"),
                    Column("density", "crossing", of_density, _crossed),
                    Column("lead_before", "lead before", points, _led("density_before", "lead_before")),
                    Column("lead_after", "lead after", points, _led("density_after", "lead_after")),
                    Column("n", "pairs (n)", count),
                ),
            ),
        ),
        note="Differences seed by seed, Student's t, corrected over all comparisons of this sweep (Holm); collapsed "
        "networks stay in, seeds of which one of the two has no result are dropped. Crossings: Fieller's 95 % interval "
        "between two densities at which one curve, then the other is ahead.",
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
        name="laws",
        heading="Laws of the error",
        intro="Test error rises as a power of the weights removed, between the dense network's error and guessing's: "
        "filled marks are fitted, hollow ones are on a plateau, collapsed networks are left out.",
        figures=(
            Figure(
                of="power_points",
                name="laws",
                by=("dataset_label", "model_label", "training_label"),
                panel=power.panel,
                plot=power.plot,
                measured="law_error",
            ),
        ),
        sheets=(
            Sheet(
                of="power",
                title="Power laws: error = c · density^−γ",
                measured="exponent",
                columns=(
                    Column("curve", "pruner", detail=_with_training),
                    Column("exponent", "exponent γ", number, _span("exponent", number)),
                    Column("coefficient", "c (%)", percent),
                    Column("rms_residual", "scatter (%)", percent),
                    Column("largest_residual", "largest residual (%)", percent),
                    Column("num_points", "points fitted", count, _not_in_law),
                    Column("refused", "not fitted because"),
                ),
            ),
            Sheet(
                of="joint",
                title="Joint laws over density, width and depth (Rosenfeld et al. 2021)",
                measured="slope",
                columns=(
                    Column("curve", "pruner", detail=_family),
                    Column("slope", "slope γ", number, _span("slope", number)),
                    Column("transition", "p", number, _span("transition", number)),
                    Column("plateau", "upper plateau (%)", percent, _span("plateau", percent)),
                    Column("width_exponent", "width ψ", number, _span("width_exponent", number)),
                    Column("depth_exponent", "depth φ", number, _span("depth_exponent", number)),
                    Column("mean_relative_error", "relative error, mean (%)", percent),
                    Column("deviation_relative_error", "its deviation (%)", percent),
                    Column("dense_misfit", "misfit when dense (%)", percent),
                    Column("num_points", "points fitted", count, _not_in_joint_law),
                    Column("refused", "not fitted because"),
                ),
            ),
        ),
        note="95 % intervals below the constants. Error: 1 − accuracy, mean over seeds. Methods and formulas: "
        "docs/analysis.md.",
    ),
    Section(
        name="prediction",
        heading="A tenth of the sweep predicts the rest",
        intro="The joint law fitted to a few points, drawn by rule, against every point that it was not fitted to, "
        "with 95 % intervals.",
        figures=(
            Figure(
                of="predictions",
                name="prediction",
                by=("dataset_label", "family", "training_label"),
                panel=prediction.panel,
                plot=prediction.plot,
                note=prediction.drawn,
            ),
        ),
        sheets=(
            Sheet(
                of="prediction",
                measured="num_predicted",
                columns=(
                    Column("curve", "pruner", detail=_family),
                    Column("num_fitted", "fitted", count),
                    Column("num_predicted", "predicted", count),
                    Column("mean_relative_error", "relative error, mean (%)", percent),
                    Column("deviation_relative_error", "its deviation (%)", percent),
                    Column("largest_relative_error", "largest (%)", percent),
                    Column("coverage", "inside the interval (%)", percent),
                    Column("refused", "not predicted because"),
                ),
            ),
        ),
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
