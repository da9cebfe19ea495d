"""How many trials share a GPU: as many as fit by what trials like them took (`--gpus-per-trial fit`).

Like one another are trials of one kind: what else than the density sets how much memory is taken. A kind counts as
measured once a trial of it was completed on a GPU at least as dense as the densest to run, since a pruned network
takes no more than a denser one. Until every kind is measured, a trial has its GPU alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.rows import PART_COLUMNS, Row
from orchestrator.trials import Trials

KIND = (
    *("dataset", "dataset_options", "dataset_source", "model", "model_options", "model_source"),
    *("pruner", "pruner_options", "pruner_source", "iterations", "schedule", "scope", "mode", "score_dtype"),
    *("prunable", "ablation", "examples_per_class"),
    *("pre_epochs", "trains", "optimizer", "batch_size", "precision"),
)
"""Columns that trials of one kind have in common; `trains` is `epochs` > 0."""
PARTS = ("dataset", "model", "pruner", "levels", "training", "density")
"""Parts of a configuration that these columns and the density are of."""

PROCESS_BYTES = 600 * 2**20
"""What a process takes of a GPU besides what torch counts: CUDA's context and the kernels it has loaded. No call tells
it apart from the neighbours' memory, so it is what was reported for torch: 290 MB for a convolution with kernels loaded
as they are needed, 670 MB with all of them (pytorch/pytorch#86509), 300 to 400 MB (#107667, #109888)."""

MOST_ON_ONE = 100
"""Ray tells shares of a GPU apart by 1/10,000: with more trials on one, a share rounded down would let in one more."""
SHARES = 10_000
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a trial reserves of a GPU, and why."""

    trials_on_one: int
    """0: they run on a CPU."""
    why: str

    @property
    def gpus_per_trial(self) -> float:
        """The share, rounded down to what Ray tells apart: a third is 0.3333."""
        return SHARES // self.trials_on_one / SHARES if self.trials_on_one else 0.0

    @property
    def line(self) -> str:
        """In a sentence."""
        return f"gpus per trial: {self.gpus_per_trial:g}, {self.why}"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"gpus_per_trial": self.gpus_per_trial, "trials_on_one": self.trials_on_one, "why": self.why}


def fit(trials: Trials, store: Store, *, device: str, engine: str) -> Fit:
    """How many of the trials to run fit on a GPU, by those of the store that were trained by this engine.

    A `device` that is not "cpu" is a GPU.
    """
    if device == "cpu":
        return Fit(trials_on_one=0, why="for trials run on the CPU")
    measured = _measured(store, engine)
    kinds = _kinds(trials).join(measured, on=KIND, how="left", maintain_order="left", nulls_equal=True)
    unknown = kinds.filter(pl.col("peak").is_null() | (pl.col("densest") < pl.col("density")))
    if unknown.height:
        return Fit(trials_on_one=1, why=_why_alone(unknown))
    most = kinds.row(kinds["peak"].arg_max() or 0, named=True)
    gpu_bytes = measured["gpu_bytes"].min()
    assert isinstance(gpu_bytes, int)
    fitting = gpu_bytes // (most["peak"] + PROCESS_BYTES)
    on_one = min(max(1, fitting), MOST_ON_ONE)
    why = (
        f"{on_one} on one: the most that trials like those to run took is {most['peak'] / GIB:.2f} GiB "
        f"({_network(most)}, trial {most['trial_id']}), a process takes {PROCESS_BYTES / GIB:.2f} GiB more, and "
        f"the smallest GPU they ran on has {math.floor(gpu_bytes / GIB * 10) / 10} GiB"
    )
    return Fit(trials_on_one=on_one, why=why + (f"; more than {MOST_ON_ONE} never share one" * (fitting > on_one)))


def _kinds(trials: Trials) -> pl.DataFrame:
    """The kinds of the trials to run, each with the density of its densest."""
    rows: list[Row] = []
    for numbers in trials.frame.select(PARTS).unique(maintain_order=True).iter_rows(named=True):
        row: Row = {}
        for name, number in numbers.items():
            row |= PART_COLUMNS[name](trials.parts.of[name][number])
        row["trains"] = row["epochs"] > 0
        rows.append({column: row[column] for column in (*KIND, "density")})
    return pl.DataFrame(rows, infer_schema_length=None).group_by(KIND, maintain_order=True).agg(pl.col("density").max())


def _measured(store: Store, engine: str) -> pl.DataFrame:
    """By kind, the largest peak and whose it is, and the density of the densest; and the memory of the smallest GPU.

    A trial that another engine trained than it was asked for would be so again; without training there is no engine.
    """
    rows = (
        scan_trials(store)
        .with_columns(trains=pl.col("epochs") > 0)
        .filter(
            pl.col("status") == "completed",
            pl.col("peak_gpu_bytes").is_not_null(),
            (pl.col("engine") == engine) | pl.col("engine_fallback").is_not_null() | ~pl.col("trains"),
        )
    )
    by_size = pl.col("trial_id").sort_by("peak_gpu_bytes", "trial_id")
    found = rows.group_by(KIND).agg(
        peak=pl.col("peak_gpu_bytes").max(),
        trial_id=by_size.last(),
        densest=pl.col("density").max(),
        gpu_bytes=pl.col("gpu_bytes").min(),
    )
    return found.collect()


def _network(kind: Row) -> str:
    return f"{kind['model']} on {kind['dataset']} by {kind['pruner']}"


def _why_alone(unknown: pl.DataFrame) -> str:
    kind = unknown.row(0, named=True)
    others = {1: "", 2: ", nor was 1 other kind of trial"}.get(
        unknown.height, f", nor were {unknown.height - 1} other kinds of trial"
    )
    return (
        f"for {_network(kind)}, batch size {kind['batch_size']}, was never measured on a GPU at density "
        f"{kind['density']:g} or above{others}; after its first trials `prunesweep run` again fits more"
    )
