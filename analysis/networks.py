"""What was pruned? One row a pruned network, however many ways it was trained in afterwards.

Masks that are made before training cannot depend on its settings, so a network is told apart by data set, model, curve,
density and seeds. Where pruning and training take turns, or masks change during training, its settings count too.
"""

from __future__ import annotations

import polars as pl

MODEL = ["dataset_label", "model_label"]
"""What is drawn in one panel about networks."""
SEEDS = ["seed_init", "seed_data", "seed_prune"]
IDENTITY = [*MODEL, "curve", *SEEDS, "recipe"]
"""What a network has at every density; `recipe` is its training where that decides the masks, else empty."""
DURING_TRAINING = ("gmp", "set", "rigl")
"""Pruners that change masks during training, beside all that have `pre_epochs`."""


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """One row a network and density, in no order.

    `pruned` is whether a trial of it completed; without, what follows is null. `collapsed`: a prunable layer has no
    weight left. `connected`: a path leads from input to output. `effective_density`: share of weights on such paths.
    `max_compression_ratio`: prunable weights / prunable layers. `trial_id` is the first of its completed trials, whose
    layers and rounds stand for all of them.
    """
    trained_before = (pl.col("pre_epochs") > 0) | pl.col("pruner").is_in(DURING_TRAINING)
    completed = pl.col("status") == "completed"
    return (
        results.select(
            *MODEL,
            "curve",
            *SEEDS,
            "density",
            recipe=pl.when(trained_before).then("training_label").otherwise(pl.lit("")),
            pruned=completed,
            collapsed=pl.when(completed).then(pl.col("collapsed_layers") > 0),
            connected=pl.when(completed).then("is_connected"),
            effective_density=pl.when(completed).then("effective_density"),
            max_compression_ratio=pl.col("prunable_weights") / pl.col("prunable_layers"),
            trial_id=pl.when(completed).then("trial_id"),
        )
        .group_by(*IDENTITY, "density")
        .agg(
            pl.col("pruned", "collapsed", "connected", "effective_density", "max_compression_ratio").max(),
            pl.col("trial_id").min(),
        )
    )
