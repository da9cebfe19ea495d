"""What did pruning do, layer by layer and round by round? The diagnostics of the SynFlow paper as plain tables.

One row a layer (`of_layers`: figures 3 and 4), a round (`of_rounds`: figure 7) or a trial (`of_trials`), each with the
data set, model, curve, density and seeds it belongs to. Collapse over many trials, with maximal and critical
compression, is `analysis.critical`.
"""

from __future__ import annotations

import polars as pl

from analysis.trial_key import TRIAL

KEYS = ["dataset_label", "model_label", "curve", "density", "seed_init", "seed_data", "seed_prune", *TRIAL]
"""What each row begins with; also the order of rows, dense before sparse."""


def of_layers(results: pl.LazyFrame, layers: pl.LazyFrame) -> pl.LazyFrame:
    """Prunable layers of completed trials, 0 nearest the input: the table `layers` and what follows from it.

    `layer_density` is kept / num_weights, `layer_effective_density` live / num_weights. `initial_score_mean` is the
    first round's mean score: inversely proportional to `num_weights` where layers conserve the score (figure 4).
    `score_mean` is the last round's, in which removed weights count as 0.
    """
    return (
        _completed(results)
        .join(layers.drop("attempt_id"), on=TRIAL)
        .with_columns(
            layer_density=pl.col("kept") / pl.col("num_weights"),
            layer_effective_density=pl.col("live") / pl.col("num_weights"),
            score_mean=pl.col("score_sum") / pl.col("num_weights"),
            initial_score_mean=pl.col("initial_score_sum") / pl.col("num_weights"),
        )
        .pipe(_sorted, "position")
    )


def of_rounds(results: pl.LazyFrame, rounds: pl.LazyFrame) -> pl.LazyFrame:
    """Pruning rounds of completed trials: the table `rounds` and `cut_over_flow`; `density` is the trial's.

    `cut_over_flow` is figure 7's: below 1 no layer can have collapsed in the round, if scores are conserved. Null where
    nothing flowed. `round_density` is the density after the round.
    """
    return (
        _completed(results)
        .join(rounds.drop("attempt_id").rename({"density": "round_density"}), on=TRIAL)
        .with_columns(cut_over_flow=pl.when(pl.col("flow") != 0).then(pl.col("score_cut") / pl.col("flow")))
        .pipe(_sorted, "round")
    )


def of_trials(results: pl.LazyFrame, layers: pl.LazyFrame, rounds: pl.LazyFrame) -> pl.LazyFrame:
    """Completed trials: collapse, connectivity, and the largest of each diagnostic over their layers and rounds.

    `compression_ratio` is 1 / density, `max_compression_ratio` prunable weights / prunable layers. Largest values are
    null where there are none: a dense network has no round.
    """
    largest_of_layers = layers.group_by(TRIAL).agg(pl.col("unit_conservation_error").max())
    largest_of_rounds = (
        of_rounds(results, rounds)
        .group_by(TRIAL)
        .agg(
            pl.col("cut_over_flow").max().alias("largest_cut_over_flow"),
            pl.col("layer_deviation").max().alias("largest_layer_deviation"),
            pl.col("round").filter(pl.col("collapsed_layers") > 0).min().alias("first_round_with_collapse"),
        )
    )
    measured = ["effective_density", "collapsed_layers", "is_connected"]
    return (
        _completed(results, *measured, "prunable_weights", "prunable_layers")
        .with_columns(
            compression_ratio=1 / pl.col("density"),
            max_compression_ratio=pl.col("prunable_weights") / pl.col("prunable_layers"),
        )
        .join(largest_of_layers, on=TRIAL, how="left")
        .join(largest_of_rounds, on=TRIAL, how="left")
        .rename({"unit_conservation_error": "largest_unit_conservation_error"})
        .select(
            *KEYS,
            "compression_ratio",
            "max_compression_ratio",
            *measured,
            "largest_cut_over_flow",
            "largest_layer_deviation",
            "largest_unit_conservation_error",
            "first_round_with_collapse",
        )
        .pipe(_sorted)
    )


def _completed(results: pl.LazyFrame, *columns: str) -> pl.LazyFrame:
    """One row a completed trial and curve."""
    return results.filter(pl.col("status") == "completed").select(*KEYS, *columns).unique(["curve", *TRIAL])


def _sorted(rows: pl.LazyFrame, *within: str) -> pl.LazyFrame:
    descending = [key == "density" for key in KEYS] + [False] * len(within)
    return rows.sort(*KEYS, *within, descending=descending)
