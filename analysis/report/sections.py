"""What is in a report, in the order of the page.

To add an analysis: write one file in `analysis/` with `table(...) -> LazyFrame`, `plot(frame, palette) -> chart` and
`panel(rows, palette) -> chart` for the page; name its table in `TABLES`, or in `DERIVED` if it is computed from
collected tables; and add its `Section`. `TABLES` are collected from one copy of the results in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from analysis import (
    accuracy,
    collapse,
    comparisons,
    cost,
    critical,
    crossings,
    curves,
    effective,
    enough_rounds,
    failures,
    findings,
    first_empty,
    layers,
    noise,
    origins,
    overlap,
    pareto,
    phases,
    progress,
    reference,
    settings,
    speedup,
    stability,
)
from analysis.labels import PANEL
from analysis.laws import joint, power, prediction
from analysis.laws import points as law_points
from analysis.report.formats import count, duration, number, of_density, percent, points, ratio, sparsity
from analysis.report.pivot import Pivot
from analysis.report.section import Column, Figure, Property, Row, Section, Sheet, Table, Tables
from analysis.sparsity import sparsity_texts

TABLES: Mapping[str, Table] = {
    "progress": progress.table,
    "accuracy": lambda store: accuracy.table(store.results),
    "shares": lambda store: collapse.shares(store.results),
    "collapse": lambda store: collapse.table(store.results),
    "critical": lambda store: critical.table(store.results),
    "first_empty": lambda store: first_empty.table(store.results, store.layers),
    "effective": lambda store: effective.table(store.results),
    "phases": lambda store: phases.table(store.results, store.rounds),
    "least_rounds": lambda store: enough_rounds.table(store.results),
    "least_rounds_seen": lambda store: enough_rounds.observations(store.results),
    "layers": lambda store: layers.table(store.results, store.layers),
    "comparisons": lambda store: comparisons.table(store.results),
    "law_points": lambda store: law_points.table(store.results),
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

OF_TRAINED = ("stability", "swings")
"""Tables of prunings of trained networks: no epoch is read for them where there are none (`stability.applies`)."""

OF_ALL_TRIALS = ("progress", "cost", "pace", "failures", "environment")
"""Tables of every trial of the grid also where settings are selected on validation; the others are of the selected."""


def _is_fitted(name: str) -> Callable[[Tables], pl.DataFrame]:
    return lambda tables: tables[name].filter(pl.col("refused").is_null())


DERIVED: Mapping[str, Callable[[Tables], pl.DataFrame]] = {
    "pareto_front": lambda tables: pareto.front(tables["pareto"]),
    "standings": lambda tables: comparisons.standings(tables["comparisons"].lazy()).collect(),
    "crossings": lambda tables: crossings.table(tables["comparisons"]),
    "power_points": lambda tables: power.fitted(tables["law_points"].lazy()).collect(),
    "power": lambda tables: power.table(tables["law_points"].lazy()).collect(),
    "power_laws": _is_fitted("power"),
    "joint": lambda tables: joint.table(tables["law_points"]),
    "joint_laws": _is_fitted("joint"),
    "predictions": lambda tables: prediction.predictions(tables["law_points"]),
    "prediction": lambda tables: prediction.table(tables["law_points"], tables["predictions"]),
    "predicted_families": _is_fitted("prediction"),
    "round_laws": lambda tables: enough_rounds.laws(tables["least_rounds_seen"]),
    "least_rounds_fitted": lambda tables: enough_rounds.fitted(tables["least_rounds"], tables["round_laws"]),
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


def _censored(row: Row) -> str:
    """How many networks have an end of their interval outside the grid."""
    sides = {"below the first": row["num_left_censored"], "beyond the last": row["num_right_censored"]}
    return ", ".join([f"n={row['n']}", *(f"{number} {words}" for words, number in sides.items() if number)])


def _absent(row: Row) -> str:
    return f"{row['num_absent']} absent" if row["num_absent"] else ""


def _beyond_grid(value: float | None) -> str:
    return "beyond the grid" if value is None else ratio(value)


def _hours(hours: float) -> str:
    return duration(3600 * hours)


def _named(curves: list[str]) -> str:
    return "; ".join(curves) if len(curves) <= 3 else f"{len(curves)} pruners"


def _interval(low: str, high: str, shown: Callable[[float], str]) -> Callable[[Row], str]:
    """The interval of a row in words, nothing where it has none."""
    return lambda row: "" if row[low] is None else f"{shown(row[low])} to {shown(row[high])}"


def _at_sparsity(rows: pl.DataFrame) -> str:
    return f"at {next(iter(sparsity_texts(rows['density']).values()))} sparsity"


def _family(row: Row) -> str:
    return ", ".join(filter(None, [f"{row['family']} on {row['dataset_label']}", row["training_label"]]))


def _crossed(row: Row) -> str:
    return f"{of_density(row['interval_dense'])} to {of_density(row['interval_sparse'])}"


def _left_out(row: Row) -> str:
    parts = {"on plateaus": row["num_dense_plateau"] + row["num_guessing_plateau"], "no error": row["num_no_error"]}
    return ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)


def _not_fitted(tables: Tables) -> Iterable[str]:
    """Which laws there are none of, and why."""
    for name, what, where in (("power", "power law", _panel), ("joint", "joint law", _family)):
        refused = tables[name].drop_nulls("refused")
        if 0 < refused.height < tables[name].height:
            reasons = [f"{row['curve']}, {where(row)} ({row['refused']})" for row in refused.iter_rows(named=True)]
            more = f"; and {len(reasons) - MOST_REASONS} more" if len(reasons) > MOST_REASONS else ""
            yield f"No {what} for {'; '.join(reasons[:MOST_REASONS])}{more}."


MOST_REASONS = 6
"""In a sentence; the tables have all."""


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
        name="critical",
        heading="Critical against maximal compression",
        intro="Between which points of the grid a network first loses a layer: the bar is the median interval, the "
        "line the range over networks, the grey mark maximal compression; a triangle goes on beyond the grid.",
        figures=(Figure(of="critical", panel=critical.panel, plot=critical.plot),),
        sheets=(
            Sheet(
                of="critical",
                measured="n",
                columns=(
                    Column("curve", "pruner", detail=_where),
                    Column("median_low", "without collapse up to (median)", ratio, _censored),
                    Column("median_high", "first collapse at (median)", _beyond_grid),
                    Column("lowest", "lowest", ratio),
                    Column("highest", "highest", _beyond_grid),
                    Column("below_maximal_low", "decades below maximal", number),
                    Column("num_not_monotone", "collapse, then none", count, _absent),
                ),
            ),
        ),
        note="Compression ratios. An interval is that of a network's first collapse; networks that have every layer "
        "again further on are counted under collapse, then none. Those that never collapse in the grid count as beyond "
        "it, those that collapse at its first sparsity as from 1 on.",
    ),
    Section(
        name="first-empty",
        heading="Where collapse begins",
        intro="The layers that are empty when a network first collapses, input to output: the fuller a cell, the more "
        "of the collapsed networks have that layer empty.",
        figures=(Figure(of="first_empty", panel=first_empty.panel, plot=first_empty.plot),),
    ),
    Section(
        name="effective",
        heading="Effective sparsity",
        intro="Weights that no path from input to output uses count as removed: on the dashed diagonal every kept "
        "weight is of use; a network that connects nothing counts as 0 kept and opens its band upwards.",
        figures=(Figure(of="effective", panel=effective.panel, plot=effective.plot),),
    ),
    Section(
        name="phases",
        heading="Rounds against sparsity",
        intro="What more rounds of pruning buy, by accuracy, by share of networks collapsed, or by the largest cut of "
        "a round over R, a layer's total score: below 1 suffices for no collapse where scores are conserved.",
        figures=(Figure(of="phases", by=tuple(phases.METHOD), panel=phases.panel, plot=phases.plot),),
    ),
    Section(
        name="least-rounds",
        heading="How many rounds are enough",
        intro="The least number of rounds that keeps every layer lies within the bar (medians over networks); the "
        "dashed line is the power law below.",
        figures=(
            Figure(
                of="least_rounds_fitted",
                name="least-rounds",
                by=tuple(enough_rounds.METHOD),
                panel=enough_rounds.panel,
                plot=enough_rounds.plot,
            ),
        ),
        sheets=(
            Sheet(
                of="round_laws",
                title="rounds = c × compression ^ exponent",
                columns=(
                    Column("method", "pruner", detail=_where),
                    Column("exponent", "exponent", number, _interval("exponent_low", "exponent_high", number)),
                    Column("rounds_at_centre", "rounds", number, _interval("rounds_low", "rounds_high", number)),
                    Column("compression_at_centre", "at compression", ratio),
                    Column("scatter_decades", "scatter (decades)", number),
                    Column("num_bounded", "networks with both bounds", count),
                    Column("num_left_censored", "upper bound only", count),
                    Column("num_right_censored", "lower bound only", count),
                    Column("refused", "why none"),
                ),
            ),
        ),
        note="Fitted to every network at every sparsity, those with one bound as such; 95 % intervals by likelihood "
        "ratio, taking networks as independent. The law describes this grid; it is not derived.",
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
                by=tuple(PANEL),
                panel=comparisons.panel,
                plot=comparisons.plot,
            ),
        ),
        sheets=(
            Sheet(
                of="crossings",
                title="Where two pruners change places",
                columns=(
                    Column("curve", "pruner", detail=_panel),
                    Column("other_curve", "overtakes"),
                    Column("density", "at", of_density, _crossed),
                    Column("lead_before", "lead before", points, lambda row: f"at {of_density(row['density_before'])}"),
                    Column("lead_after", "lead after", points, lambda row: f"at {of_density(row['density_after'])}"),
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
        sheets=(
            Pivot(of="accuracy"),
            Sheet(
                of="choices",
                title="Chosen on validation",
                columns=(
                    Column("curve", "pruner", detail=_panel),
                    Column("density", "sparsity", of_density),
                    Column("chosen", "chosen"),
                    Column("validation_accuracy", "validation accuracy (%)", percent, lambda row: f"n={row['n']}"),
                    Column("num_values", "of values", count),
                    Column("num_tied", "tied for best", count),
                    Column("num_unvalidated", "failed or missing", count),
                ),
            ),
        ),
    ),
    Section(
        name="laws",
        heading="Laws of the error",
        intro="Test error rises as a power of the weights removed, between the dense network's error and guessing's: "
        "filled marks are fitted, hollow ones lie on a plateau or are too few, collapsed networks are left out.",
        figures=(
            Figure(
                of="power_points",
                name="laws",
                by=tuple(PANEL),
                panel=power.panel,
                plot=power.plot,
                measured="law_error",
            ),
        ),
        sheets=(
            Sheet(
                of="power_laws",
                title="Power laws: error = c · density^−γ",
                columns=(
                    Column("curve", "pruner", detail=_panel),
                    Column("exponent", "exponent γ", number, _interval("exponent_low", "exponent_high", number)),
                    Column("coefficient", "c (%)", percent),
                    Column("rms_residual", "scatter (%)", percent),
                    Column("largest_residual", "largest residual (%)", percent),
                    Column("num_points", "points fitted", count, _left_out),
                    Column("num_collapsed", "trials collapsed", count),
                    Column("num_absent", "without a result", count),
                ),
            ),
            Sheet(
                of="joint_laws",
                title="Joint laws over density, width and depth (Rosenfeld et al. 2021)",
                columns=(
                    Column("curve", "pruner", detail=_family),
                    Column("slope", "slope γ", number, _interval("slope_low", "slope_high", number)),
                    Column("transition", "p", number, _interval("transition_low", "transition_high", number)),
                    Column("plateau", "upper plateau (%)", percent, _interval("plateau_low", "plateau_high", percent)),
                    Column(
                        "width_exponent",
                        "width ψ",
                        number,
                        _interval("width_exponent_low", "width_exponent_high", number),
                    ),
                    Column(
                        "depth_exponent",
                        "depth φ",
                        number,
                        _interval("depth_exponent_low", "depth_exponent_high", number),
                    ),
                    Column("mean_relative_error", "relative error, mean (%)", percent),
                    Column("deviation_relative_error", "its deviation (%)", percent),
                    Column("dense_misfit", "misfit when dense (%)", percent),
                    Column("num_points", "points fitted", count),
                    Column("num_unusable", "not usable", count),
                    Column("num_collapsed", "trials collapsed", count),
                ),
            ),
        ),
        paragraphs=lambda tables: _not_fitted(tables) if tables["power_laws"].height else (),
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
                of="predicted_families",
                columns=(
                    Column("curve", "pruner", detail=_family),
                    Column("num_fitted", "fitted", count),
                    Column("num_predicted", "predicted", count),
                    Column("mean_relative_error", "relative error, mean (%)", percent),
                    Column("deviation_relative_error", "its deviation (%)", percent),
                    Column("largest_relative_error", "largest (%)", percent),
                    Column("coverage", "inside the interval (%)", percent),
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
                    Column("total_hours", "slot time", _hours),
                    Column("share", "share (%)", percent),
                    *(Column(f"{phase}_hours", phase, _hours) for phase in cost.PHASES),
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
                    Column("wall_hours", "first to last", _hours),
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
