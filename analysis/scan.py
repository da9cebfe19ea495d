"""Open a store for analysis: its tables, and `results`, where every point of a grid meets its trial.

`results` has one row for each trial and curve. Configuration columns are the point's, as it was asked for, so the dense
trial that all pruners share stands under each of them; measured columns are the trial's. Label columns say in words
what is plotted as one panel or one curve, naming only the settings that tell several of a kind apart.

Everything is lazy: nothing is read before a summary is collected.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from analysis.labels import PANEL, labelled
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_children, scan_points, scan_trials
from orchestrator.store.schema import CONFIG_COLUMNS

_CONFIG = [name for name, _ in CONFIG_COLUMNS]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """A store's tables, one row a trial however often it was attempted."""

    trials: pl.LazyFrame
    epochs: pl.LazyFrame
    layers: pl.LazyFrame
    rounds: pl.LazyFrame
    masks: pl.LazyFrame
    """Empty unless the sweep asked for masks."""
    points: pl.LazyFrame
    """The grids of all sweeps, each point once."""
    results: pl.LazyFrame
    """Points joined to their trials: configuration, `dataset_label`, `model_label`, `training_label`, `curve`, the
    columns of `trials`, and `outcome`: "completed"; "diverged" (completed, but the final test loss is not a finite
    number); "failed"; "missing" (not in the store yet)."""


def scan(location: str | Path) -> Trials:
    """Open the store at a folder or an object-store address. A place without files gives empty tables."""
    store = Store(location)
    trials = scan_trials(store)
    points = scan_points(store).unique(["trial_id", *_CONFIG], keep="any").drop("sweep", "sweep_hash")
    return Trials(
        trials=trials,
        epochs=scan_children(store, "epochs"),
        layers=scan_children(store, "layers"),
        rounds=scan_children(store, "rounds"),
        masks=scan_children(store, "masks"),
        points=points,
        results=_results(points, trials),
    )


def sweep_names(location: str | Path) -> pl.LazyFrame:
    """The names of the sweeps in a store, sorted, in the column `sweep`."""
    return scan_points(Store(location)).select("sweep").unique().sort("sweep")


def _results(points: pl.LazyFrame, trials: pl.LazyFrame) -> pl.LazyFrame:
    status = pl.col("status").fill_null("missing")
    diverged = (status == "completed") & ~pl.col("final_test_loss").is_finite().fill_null(False)
    return (
        labelled(points)
        # seeds can fold too (a dense trial prunes nothing, so its prune seed cannot matter): a trial is one observation
        .unique([*PANEL, "curve", "density", "trial_id"], keep="first", maintain_order=True)
        .join(trials.drop(_CONFIG), on="trial_id", how="left", maintain_order="left")
        .with_columns(status=status, outcome=pl.when(diverged).then(pl.lit("diverged")).otherwise(status))
    )
