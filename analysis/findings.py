"""What does the sweep say? Sentences computed from the summaries, each with the number of runs behind it.

No sentence claims more than the table shows: shares are counts, means come with their interval, and nothing is called
significant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from analysis.labels import PANEL
from analysis.sparsity import sparsity_text

TOLERANCE = 0.01
"""Accuracy that may be lost while a network still counts as almost as good as the dense one."""
MOST_SENTENCES = 8
"""Beyond that, the charts and tables are easier to read than sentences."""


def sentences(accuracy: pl.DataFrame, collapsed: pl.DataFrame) -> list[str]:
    """Findings from the collected `accuracy.table` and `collapse.shares`: collapse first, then accuracy, by panel."""
    found: list[str] = []
    for (dataset, model), rows in collapsed.partition_by(
        ["dataset_label", "model_label"], as_dict=True, maintain_order=True
    ).items():
        found += _survival(_subject(collapsed, dataset, model), rows)
    for (dataset, model, training), rows in accuracy.partition_by(PANEL, as_dict=True, maintain_order=True).items():
        subject = _subject(accuracy, dataset, model, training)
        found += _sparsest_almost_dense(subject, rows)
        found += _best_when_sparsest(subject, rows)
    return found[:MOST_SENTENCES]


def _subject(frame: pl.DataFrame, dataset: str, model: str, training: str = "") -> str:
    """A panel in words; the data set is named only if there are several."""
    several = frame["dataset_label"].n_unique() > 1
    return model + (f" on {dataset}" if several else "") + (f" ({training})" if training else "")


def _survival(model: str, rows: pl.DataFrame) -> Iterator[str]:
    """Who keeps every layer, at the sparsest point that tells pruners apart; at the sparsest of all if none does."""
    measured = rows.filter(pl.col("n") > 0)
    if measured.is_empty() or measured["num_collapsed"].sum() == 0:
        return
    some, all_of_them = (pl.col("num_collapsed") > 0).any(), (pl.col("num_collapsed") > 0).all()
    telling = measured.filter((some & ~all_of_them).over("density"))
    density = (measured if telling.is_empty() else telling)["density"].min()
    at_end = measured.filter(pl.col("density") == density).sort("collapsed_share", "curve")
    keep = [
        f"{spoken(row['curve'])} in {row['n']} of {row['n']} runs"
        for row in at_end.filter(num_collapsed=0).iter_rows(named=True)
    ]
    lose = [
        f"{spoken(row['curve'])} in {row['num_collapsed']} of {row['n']}"
        for row in at_end.filter(pl.col("num_collapsed") > 0).iter_rows(named=True)
    ]
    where = f"At {_sparsity(density)} sparsity"
    if keep and lose:
        yield f"{where}, every layer of {model} stays alive with {_and(keep)}; layers collapse with {_and(lose)}."
    elif lose:
        yield f"{where}, every pruner empties a layer of {model}: {_and(lose)} runs."
    else:
        yield f"{where}, every layer of {model} stays alive with every pruner: {_and(keep)}."


def _sparsest_almost_dense(model: str, rows: pl.DataFrame) -> Iterator[str]:
    """How far each curve goes before it loses a point, as a ranking of the furthest."""
    dense = rows.filter(density=1.0).drop_nulls("mean_accuracy")
    if dense.is_empty():
        return
    level = dense.row(0, named=True)
    good = (
        rows.filter((pl.col("mean_accuracy") >= level["mean_accuracy"] - TOLERANCE) & (pl.col("density") < 1))
        .group_by("curve")
        .agg(pl.col("density").min(), pl.col("n").sort_by("density").first())
    )
    if good.is_empty():
        return
    best = good.filter(pl.col("density") == pl.col("density").min()).sort("curve")
    curves = [f"{spoken(row['curve'])} (n = {row['n']})" for row in best.iter_rows(named=True)]
    yield (
        f"{model}: the sparsest networks within one point of the dense {100 * level['mean_accuracy']:.1f} % "
        f"(n = {level['n']}) are at {_sparsity(best['density'][0])} sparsity, from {_and(curves)}."
    )


def _best_when_sparsest(model: str, rows: pl.DataFrame) -> Iterator[str]:
    """The ranking at the sparsest point where some curve is still clear of guessing."""
    measured = rows.drop_nulls("mean_accuracy").filter(pl.col("density") < 1)
    # twice chance is a mark far above noise, not a test
    clear = measured.filter(pl.col("mean_accuracy") > 2 * pl.col("chance"))
    if clear.is_empty():
        return
    density = clear["density"].min()
    ranked = measured.filter(pl.col("density") == density).sort("mean_accuracy", "curve", descending=[True, False])
    first = ranked.row(0, named=True)
    text = f"{model}: at {_sparsity(density)} sparsity, {spoken(first['curve'])} "
    if ranked.height == 1:
        text += f"has a mean accuracy of {_mean(first)}"
    else:
        second = f"{100 * ranked['mean_accuracy'][1]:.1f} %"
        text += f"has the highest mean accuracy, {_mean(first)}; the next highest mean is {second}"
    yield text + f". Guessing gives {100 * first['chance']:.1f} %."


def _mean(row: dict[str, object]) -> str:
    interval = ""
    if isinstance(row["interval_low"], float) and isinstance(row["interval_high"], float):
        interval = f"95 % interval {100 * row['interval_low']:.1f} to {100 * row['interval_high']:.1f}, "
    assert isinstance(row["mean_accuracy"], float)
    return f"{100 * row['mean_accuracy']:.1f} % ({interval}n = {row['n']})"


def _sparsity(density: object) -> str:
    assert isinstance(density, float)
    return sparsity_text(density)


def spoken(curve: str) -> str:
    """A curve's label inside a sentence: "synflow (100 rounds)"."""
    pruner, comma, settings = curve.partition(", ")
    return f"{pruner} ({settings})" if comma else pruner


def _and(items: Iterable[str]) -> str:
    *rest, last = items
    return f"{', '.join(rest)} and {last}" if rest else last
