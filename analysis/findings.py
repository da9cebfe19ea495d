"""What does the sweep say? Sentences computed from the summaries, each with the number of runs behind it.

No sentence claims more than the tables show: shares are counts, means come with their interval, and a pruner is called
ahead only where at least five paired runs say so after correction for all comparisons (`comparisons`); where the
highest mean is no lead, the sentence says that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

import polars as pl

from analysis.comparisons import FEWEST_PAIRS
from analysis.labels import PANEL
from analysis.sparsity import sparsity_text

TOLERANCE = 0.01
"""Accuracy that may be lost while a network still counts as almost as good as the dense one."""
MOST_SENTENCES = 8
"""Beyond that, the charts and tables are easier to read than sentences."""
MOST_OF_A_KIND = 2
"""Of one kind, before every kind has had its turn."""


def sentences(
    accuracy: pl.DataFrame,
    collapsed: pl.DataFrame,
    comparisons: pl.DataFrame,
    crossings: pl.DataFrame,
    predictions: pl.DataFrame,
) -> list[str]:
    """Findings from the collected tables, the most informative first.

    `accuracy.table`, `collapse.shares`, `comparisons.table`, `crossings.table`, `laws.prediction.predictions`.
    """
    leads: list[str] = []
    more_leads: list[str] = []
    survival: list[str] = []
    highest: list[str] = []
    changes: list[str] = []
    almost_dense: list[str] = []
    for (dataset, model), rows in collapsed.partition_by(
        ["dataset_label", "model_label"], as_dict=True, maintain_order=True
    ).items():
        survival += _survival(_subject(collapsed, dataset, model), rows)
    for panel, rows in accuracy.partition_by(PANEL, as_dict=True, maintain_order=True).items():
        subject = _subject(accuracy, *panel)
        paired = _both_ways(_of(comparisons, panel))
        stretches = _leads(rows, paired)
        told = [_lead(subject, rows, paired, *stretch) for stretch in stretches]
        leads, more_leads = leads + told[:1], more_leads + told[1:]
        almost_dense += _sparsest_almost_dense(subject, rows)
        highest += _best_when_sparsest(subject, rows, paired, {density for _, led in stretches for density in led})
        changes += _crossing(subject, _of(crossings, panel))
    kinds = [leads, survival, list(_predicted(predictions)), highest, changes, almost_dense]
    first = chain.from_iterable(kind[:MOST_OF_A_KIND] for kind in kinds)
    rest = chain.from_iterable(kind[MOST_OF_A_KIND:] for kind in kinds)
    return [*first, *rest, *more_leads][:MOST_SENTENCES]


def _of(frame: pl.DataFrame, panel: tuple[object, ...]) -> pl.DataFrame:
    return frame.filter(*(pl.col(name) == pl.lit(label) for name, label in zip(PANEL, panel, strict=True)))


def _both_ways(comparisons: pl.DataFrame) -> pl.DataFrame:
    """Each comparison from either side."""
    swapped = {"curve": "other_curve", "other_curve": "curve", "rounds": "other_rounds", "other_rounds": "rounds"}
    negated = {name: -pl.col(name) for name in ("mean_difference", "ahead")}
    ends = {"corrected_low": -pl.col("corrected_high"), "corrected_high": -pl.col("corrected_low")}
    mirrored = comparisons.with_columns(**negated, **ends).rename(swapped)
    return pl.concat([comparisons, mirrored.select(comparisons.columns)])


def _leads(rows: pl.DataFrame, paired: pl.DataFrame) -> list[tuple[str, list[float]]]:
    """Curves that are ahead of every other over neighbouring densities (falling), the longest stretch first."""
    measured = rows.filter((pl.col("n") > 0) & (pl.col("density") < 1))
    others = measured.group_by("density").agg((pl.len() - 1).alias("num_others"))
    won = (
        paired.filter(pl.col("ahead") == 1)
        .group_by("curve", "density")
        .len("num_ahead")
        .join(others, on="density")
        .filter(pl.col("num_ahead") == pl.col("num_others"))
    )
    grid = sorted(set(others.filter(pl.col("num_others") > 0)["density"]), reverse=True)
    stretches: list[tuple[str, list[float]]] = []
    leader = dict(won.select("density", "curve").iter_rows())
    for density, before in zip(grid, [None, *grid], strict=False):
        curve = leader.get(density)
        if curve is None:
            continue
        if before is not None and leader.get(before) == curve:
            stretches[-1][1].append(density)
        else:
            stretches.append((curve, [density]))
    return sorted(stretches, key=lambda stretch: (-len(stretch[1]), stretch[1][0]))


def _lead(model: str, rows: pl.DataFrame, paired: pl.DataFrame, curve: str, densities: list[float]) -> str:
    """One stretch of leads in words, with the smallest of them."""
    sparsest = rows.filter(pl.col("n") > 0)["density"].min()
    first, last = _sparsity(densities[0]), _sparsity(densities[-1])
    if len(densities) == 1:
        where = f"at {first} sparsity"
    else:
        where = f"from {first} sparsity on" if densities[-1] == sparsest else f"from {first} to {last} sparsity"
    closest = (
        paired.filter(curve=curve)
        .filter(pl.col("density").is_in(densities))
        .sort("mean_difference", "other_curve")
        .row(0, named=True)
    )
    return (
        f"{model}: {_with_rounds(curve, closest['rounds'])} is ahead of every other pruner {where}. The closest is "
        f"{_with_rounds(closest['other_curve'], closest['other_rounds'])}, "
        f"{_points(closest['mean_difference'])} points behind at {_sparsity(closest['density'])} "
        f"({_corrected(closest)})."
    )


def _corrected(row: dict[str, object]) -> str:
    """Interval, number of comparisons and runs of a comparison."""
    count = row["num_comparisons"]
    corrected = "" if count == 1 else f" corrected for {count:,} comparisons"
    return (
        f"95 % interval {_points(row['corrected_low'])} to {_points(row['corrected_high'])}{corrected}, n = {row['n']}"
    )


def _crossing(model: str, rows: pl.DataFrame) -> Iterator[str]:
    """The change of places with the largest lead after it."""
    for row in rows.head(1).iter_rows(named=True):
        dense, sparse = row["interval_dense"], row["interval_sparse"]
        if dense is None or sparse is None:
            continue
        yield (
            f"{model}: {spoken(row['curve'])} overtakes {spoken(row['other_curve'])} at "
            f"{_sparsity(row['density'])} sparsity (95 % interval {_sparsity(dense)} to {_sparsity(sparse)}, "
            f"n = {row['n']}): {_points(row['lead_before'])} points behind at {_sparsity(row['density_before'])}, "
            f"{_points(row['lead_after'])} ahead at {_sparsity(row['density_after'])}."
        )


def _predicted(predictions: pl.DataFrame) -> Iterator[str]:
    """How well the joint law of a part of the sweep predicts the rest."""
    if predictions.is_empty():
        return
    families = predictions.unique(["dataset_label", "family", "training_label", "curve"])
    fitted, held_out = families["num_fitted"].sum(), predictions.height
    relative = predictions["relative_error"].to_numpy()
    spread = f" (standard deviation {_points(float(relative.std(ddof=1)))} %)" if held_out > 1 else ""
    yield (
        f"The joint law of density, width and depth, fitted to {fitted:,} of {fitted + held_out:,} mean errors, "
        f"predicts the others with a relative error of {_points(float(relative.mean()))} %{spread}; "
        f"{predictions['is_inside'].sum():,} of {held_out:,} lie in their 95 % interval."
    )


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


def _best_when_sparsest(model: str, rows: pl.DataFrame, paired: pl.DataFrame, led: set[float]) -> Iterator[str]:
    """The highest mean at the sparsest point where some curve is clear of guessing, unless a lead there was named."""
    measured = rows.drop_nulls("mean_accuracy").filter(pl.col("density") < 1)
    # twice chance is a mark far above noise, not a test
    clear = measured.filter(pl.col("mean_accuracy") > 2 * pl.col("chance"))
    if clear.is_empty():
        return
    density = clear["density"].min()
    if density in led:
        return
    ranked = measured.filter(pl.col("density") == density).sort("mean_accuracy", "curve", descending=[True, False])
    first = ranked.row(0, named=True)
    text, who = f"{model}: at {_sparsity(density)} sparsity", spoken(first["curve"])
    if ranked.height == 1:
        text += f", {who} has a mean accuracy of {_mean(first)}"
    else:
        text += f" no pruner is ahead of every other. {who} has the highest mean accuracy, {_mean(first)}; "
        text += _not_beaten(first, ranked, paired)
    yield f"{text}. Guessing gives {100 * first['chance']:.1f} %."


def _not_beaten(first: dict[str, object], ranked: pl.DataFrame, paired: pl.DataFrame) -> str:
    """The best of the others that the first is not ahead of, and why not."""
    here = paired.filter((pl.col("curve") == first["curve"]) & (pl.col("density") == first["density"]))
    beaten = here.filter(pl.col("ahead") == 1)["other_curve"].to_list()
    other = ranked.slice(1).filter(~pl.col("curve").is_in(beaten)).row(0, named=True)
    against = here.filter(other_curve=other["curve"])
    text = f"{spoken(other['curve'])} has {_mean(other)}"
    if against.is_empty() or against["ahead"].item() is None:
        num_pairs = 0 if against.is_empty() else against["n"].item()
        return f"{text}, and fewer than {FEWEST_PAIRS} paired runs tell nothing (n = {num_pairs})"
    row = against.row(0, named=True)
    return f"{text}, paired difference {_points(row['mean_difference'])} points ({_corrected(row)})"


def _mean(row: dict[str, object]) -> str:
    interval = ""
    if isinstance(row["interval_low"], float) and isinstance(row["interval_high"], float):
        interval = f"95 % interval {100 * row['interval_low']:.1f} to {100 * row['interval_high']:.1f}, "
    assert isinstance(row["mean_accuracy"], float)
    return f"{100 * row['mean_accuracy']:.1f} % ({interval}n = {row['n']})"


def _sparsity(density: object) -> str:
    assert isinstance(density, float)
    return sparsity_text(density)


def _points(difference: object) -> str:
    """A difference of fractions in percentage points."""
    assert isinstance(difference, float)
    return f"{100 * difference:.1f}".replace("-", "−")


def _with_rounds(curve: str, rounds: int) -> str:
    """A curve in a sentence, with its rounds where it has several and its label does not say so."""
    text = spoken(curve)
    if rounds <= 1 or re.search(r"\b\d+ rounds?\b", curve):
        return text
    return f"{text[:-1]}, {rounds} rounds)" if text.endswith(")") else f"{text} ({rounds} rounds)"


def spoken(curve: str) -> str:
    """A curve's label inside a sentence: "synflow (100 rounds)"."""
    pruner, comma, settings = curve.partition(", ")
    return f"{pruner} ({settings})" if comma else pruner


def _and(items: Iterable[str]) -> str:
    *rest, last = items
    return f"{', '.join(rest)} and {last}" if rest else last
