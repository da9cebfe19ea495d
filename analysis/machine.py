"""What a trial's seconds were measured on. Seconds of different machines are never averaged."""

from __future__ import annotations

import polars as pl

MACHINE = ["device", "threads"]
"""The columns that tell machines apart; nodes of one kind are one machine."""


def machine() -> pl.Expr:
    """The column `machine` in words: "cpu", or "cpu, 4 threads"."""
    threads = pl.col("threads")
    several = pl.when(threads > 1).then(pl.format("{}, {} threads", "device", threads))
    return several.otherwise(pl.col("device")).alias("machine")


TIMED_ALONE = ["pre_epochs", "epochs"]
"""What `timed_alone` reads besides `density` and `train_seconds`."""


def timed_alone() -> pl.Expr:
    """Whether a trial's `train_seconds` are what training it takes, and not zero.

    Where training and pruning take turns, levels are shared between trials, and their seconds are those of the trial
    that trained them. A dense trial is trained once, whatever was asked for around it.
    """
    is_trained_once = (pl.col("pre_epochs") == 0) | (pl.col("density") == 1)
    return is_trained_once & (pl.col("epochs") > 0) & (pl.col("train_seconds") > 0)
