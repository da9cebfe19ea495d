"""Results in memory, for tests that need many: the columns of `scan(...).results` that comparisons and laws read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

DEFAULTS: dict[str, Any] = {
    "dataset_label": "digits",
    "model_label": "mlp",
    "training_label": "",
    "curve": "snip",
    "iterations": 1,
    "density": 0.1,
    "seed_init": 0,
    "seed_data": 0,
    "seed_prune": 0,
    "outcome": "completed",
    "collapsed_layers": 0,
    "final_test_accuracy": 0.9,
    "num_test_images": 10_000,
    "num_classes": 10,
    "model": "mlp",
    "model_options": "{}",
}


def results(runs: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
    """One row a run; `seed` stands for all three, and each run is a trial of its own unless it names another."""
    rows = []
    for number, run in enumerate(runs):
        row = DEFAULTS | {"trial_id": f"t{number}"} | run
        if "seed" in row:
            row |= dict.fromkeys(("seed_init", "seed_data", "seed_prune"), row.pop("seed"))
        rows.append(row)
    return pl.LazyFrame(rows)
