"""Which store, and which version of the numerics, is a curve of? Results are not averaged over either.

A store named beside others keeps its own curves, and so does each version where a grid was answered by several: equal
configurations may give other numbers there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import polars as pl

from analysis import student
from analysis.labels import PANEL
from analysis.scan import CHILDREN, Trials

CONFIDENCE = 0.95
_SEEDS = ["seed_init", "seed_data", "seed_prune"]
_POINT = [*PANEL, "shared_curve", "density", *_SEEDS]


def told_apart(opened: Trials) -> Trials:
    """The same results, with the store's name and the numerics version in `curve` where one label has several.

    Of several stores, which must have been opened apart, the name also begins every `trial_id`. `store_name` is the
    shortest name that tells a store from the others, `shared_curve` the label as it was.
    """
    names = store_names(opened.stores)
    version = pl.col("numerics_version")
    # what is missing has no version, and no store unless several are scanned
    curve = [*(["store"] if len(names) > 1 else []), *PANEL, "curve"]
    results = opened.results.with_columns(
        store_name=pl.col("store").replace_strict(names, default=None, return_dtype=pl.String),
        shared_curve=pl.col("curve"),
        # what is missing will be run by the code of today
        numerics=version.fill_null(version.max().over(curve)),
        several_versions=version.drop_nulls().n_unique().over(curve) > 1,
    )
    parts = [
        pl.col("curve"),
        pl.when(pl.col("several_versions")).then(pl.format("numerics {}", "numerics")),
    ]
    if len(names) > 1:
        several_stores = pl.col("store").n_unique().over(*PANEL, "curve") > 1
        parts.append(pl.when(several_stores).then("store_name"))
    labelled = results.with_columns(curve=pl.concat_str(parts, separator=" · ", ignore_nulls=True))
    apart = replace(opened, results=labelled.drop("numerics", "several_versions"))
    return _with_ids_of_stores(apart, names) if len(names) > 1 else apart


def _with_ids_of_stores(opened: Trials, names: dict[str, str]) -> Trials:
    """Each `trial_id` with its store's name before it: summaries join by it, and stores may hold the same trial."""
    name = pl.col("store").replace_strict(names, return_dtype=pl.String)
    own = pl.concat_str([name, pl.col("trial_id")], separator="/")
    tables = ("trials", "points", "results", *CHILDREN)
    return replace(opened, **{table: getattr(opened, table).with_columns(trial_id=own) for table in tables})


def store_names(locations: tuple[str, ...]) -> dict[str, str]:
    """Each location with the fewest of its last folders that tell it from the others.

    >>> store_names(("results/a", "results/b"))
    {'results/a': 'a', 'results/b': 'b'}
    >>> store_names(("old/run", "new/run/"))
    {'old/run': 'old/run', 'new/run/': 'new/run'}
    """
    parts = {one: PurePosixPath(one).parts for one in locations}
    for length in range(1, max(map(len, parts.values()), default=1) + 1):
        names = {one: "/".join(of[-length:]) for one, of in parts.items()}
        if len(set(names.values())) == len(names):
            return names
    return {one: one for one in locations}


def table(opened: Trials) -> pl.LazyFrame:
    """Trials of each store, of those `told_apart`: `num_shared` have a configuration that other stores hold too.

    Columns `store_name`, `num_trials`, `num_completed`, `num_diverged`, `num_failed`, `num_missing`, `num_shared`.
    """
    shared = pl.col("store").n_unique().over(_POINT) > 1
    trial = ["store", "trial_id", "store_name", "status", "outcome"]
    each = opened.results.with_columns(shared=shared).group_by(trial).agg(pl.col("shared").any())
    counted = [
        (pl.col("status") == status).sum().cast(pl.Int64).alias(f"num_{status}")
        for status in ("completed", "failed", "missing")
    ]
    return (
        each.group_by("store_name")
        .agg(
            pl.len().cast(pl.Int64).alias("num_trials"),
            *counted,
            (pl.col("outcome") == "diverged").sum().cast(pl.Int64).alias("num_diverged"),
            pl.col("shared").sum().cast(pl.Int64).alias("num_shared"),
        )
        .sort("store_name")
    )


def differences(opened: Trials) -> pl.LazyFrame:
    """Final test accuracy at points of several stores, each other store minus the first that has it, paired by seeds.

    A row a panel, curve, density and pair of stores (`store_name`, `other_store_name`); `curve` and `other_curve` are
    their labels. `n` pairs are in `mean_accuracy` (of the first store), `other_mean_accuracy`, `mean_difference` and
    its Student-t interval `interval_low` to `interval_high` (null for n < 2); `num_equal` have the same accuracy
    to the last bit; `num_unpaired` have an accuracy in one of the two alone. Of trials `told_apart`.
    """
    order = {name: number for number, name in enumerate(store_names(opened.stores).values())}
    usable = pl.col("outcome") == "completed"
    runs = opened.results.select(
        *_POINT,
        "store_name",
        "curve",
        accuracy=pl.when(usable).then("final_test_accuracy"),
        place=pl.col("store_name").replace_strict(order, default=None, return_dtype=pl.Int64),
    ).unique([*_POINT, "store_name"], keep="any")
    cell = [*PANEL, "shared_curve", "density"]
    first = runs.with_columns(first=pl.col("place").min().over(cell)).filter(pl.col("place") == pl.col("first"))
    # seeds that only one of the two stores has are counted as unpaired, so the join is on all seeds of a shared cell
    stores = runs.select(*cell, "store_name", "curve", "place").unique()
    cells = stores.join(stores, on=cell, suffix="_other").filter(
        (pl.col("place") == pl.col("place").min().over(cell)) & (pl.col("place_other") > pl.col("place"))
    )
    seeds = runs.select(*cell, *_SEEDS).unique()
    pairs = (
        cells.join(seeds, on=cell)
        .join(first.select(*_POINT, "accuracy"), on=_POINT, how="left")
        .join(
            runs.select(*_POINT, "store_name", "accuracy").rename({"store_name": "store_name_other"}),
            on=[*_POINT, "store_name_other"],
            how="left",
            suffix="_other",
        )
        .rename({"store_name_other": "other_store_name", "curve_other": "other_curve"})
    )
    mine, theirs = pl.col("accuracy"), pl.col("accuracy_other")
    both = mine.is_not_null() & theirs.is_not_null()
    difference = (theirs - mine).filter(both)
    n = pl.col("n")
    half = student.quantile(n - 1, CONFIDENCE) * pl.col("deviation") / n.sqrt()
    return (
        pairs.group_by(*cell, "store_name", "other_store_name", "curve", "other_curve")
        .agg(
            both.sum().cast(pl.Int64).alias("n"),
            mine.filter(both).mean().alias("mean_accuracy"),
            theirs.filter(both).mean().alias("other_mean_accuracy"),
            difference.mean().alias("mean_difference"),
            difference.std().alias("deviation"),
            (difference == 0).sum().cast(pl.Int64).alias("num_equal"),
            (mine.is_not_null() != theirs.is_not_null()).sum().cast(pl.Int64).alias("num_unpaired"),
        )
        .with_columns(interval_low=pl.col("mean_difference") - half, interval_high=pl.col("mean_difference") + half)
        .drop("deviation")
        .sort(*PANEL, "shared_curve", "density", "other_store_name", descending=[False] * 4 + [True, False])
    )
