"""What lies in a store and nobody needs any more, and what runs clear away when they end.

A checkpoint is needed until its trial is completed; a prefix as long as a trial may start from it: one that trains
before it is pruned, on the same data and network, by the same recipe from the same seeds. Failed trials are to be tried
again, so theirs stay. A trial is one that a sweep in the store asks for: several sweeps and runners may share a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
from rich.console import Console

from orchestrator.errors import BadInput
from orchestrator.identity import trial_id
from orchestrator.store.compact import compact, num_files, remove_replaced
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points, scan_trials
from orchestrator.store.rows import TRAINING_COLUMNS, config_columns
from training.config import WHOSE, TrialConfig

DAYS_A_RUN_MAY_TAKE = 30
"""After that, what a killed run left in `runs/` is removed."""
FILE_BUDGET = 100
"""Files of results above which a run compacts the store when it ends."""

SHARED_COLUMNS = [
    *("dataset", "dataset_options", "dataset_source", "validation", "model", "model_options", "model_source"),
    *("seed_init", "seed_data", *TRAINING_COLUMNS),
]
"""Trials that differ in these share no training."""


@dataclass(frozen=True, kw_only=True)
class Unneeded:
    """Keys of snapshots that no trial will start from."""

    checkpoints: list[str]
    prefixes: list[str]

    def remove(self, store: Store) -> None:
        """Delete them; nothing happens to those that are gone."""
        for kind, keys in (("checkpoints", self.checkpoints), ("prefixes", self.prefixes)):
            for key in keys:
                remove_snapshot(store, kind, key)


def remove_snapshot(store: Store, kind: str, key: str) -> None:
    """Delete one; `kind` is the folder it is in."""
    store.remove_folder(kind, key)
    store.remove(kind, f"{key}{WHOSE}")


def unneeded_snapshots(store: Store) -> Unneeded:
    """Checkpoints and prefixes that no trial of the store's sweeps needs. One that says not whose it is goes last."""
    keys = {kind: _keys(store, kind) for kind in ("checkpoints", "prefixes")}
    if not any(keys.values()):
        return Unneeded(checkpoints=[], prefixes=[])
    done = scan_trials(store).filter(pl.col("status") == "completed").select("trial_id")
    wanted = scan_points(store).join(done, on="trial_id", how="anti")
    ids = set(wanted.select("trial_id").collect()["trial_id"])
    shared = wanted.filter(pl.col("pre_epochs") > 0).select(SHARED_COLUMNS).unique().collect()
    trainings = set(shared.iter_rows())

    def is_needed(kind: str, key: str) -> bool:
        config = _whose(store, kind, key)
        if config is None:
            return bool(ids if kind == "checkpoints" else trainings)
        if kind == "checkpoints":
            return trial_id(config) in ids
        columns = config_columns(config)
        return tuple(columns[name] for name in SHARED_COLUMNS) in trainings

    found = {kind: [key for key in keys[kind] if not is_needed(kind, key)] for kind in keys}
    return Unneeded(checkpoints=found["checkpoints"], prefixes=found["prefixes"])


def tidy(store: Store, console: Console, *, is_leaving: bool = False) -> None:
    """Clear away what nobody needs and, above the file budget, merge files. What goes wrong here loses no result."""
    try:
        unneeded_snapshots(store).remove(store)
        if is_leaving:  # who pressed Ctrl-C waits for the end
            return
        if num_files(store) > FILE_BUDGET:
            done = compact(store)
            console.print(f"{done.files_before:,} files of results merged into {done.files_after:,}", highlight=False)
        else:
            remove_replaced(store)
    except (BadInput, OSError) as error:
        console.print(f"Nothing is lost, but tidying the store failed: {error}", style="yellow", markup=False)


def remove_old_runs(store: Store) -> None:
    """Plans of runs that were killed: what they left to do is planned anew, so only a live run needs its own."""
    oldest = f"{datetime.now(UTC) - timedelta(days=DAYS_A_RUN_MAY_TAKE):%Y%m%dT%H%M%S}"
    for run_id in store.folders("runs"):
        if run_id < oldest:
            store.remove_folder("runs", run_id)


def _keys(store: Store, kind: str) -> list[str]:
    labels = [name.removesuffix(WHOSE) for name in store.files(kind) if name.endswith(WHOSE)]
    return sorted({*store.folders(kind), *labels})


def _whose(store: Store, kind: str, key: str) -> TrialConfig | None:
    """A trial that a snapshot is for; None where that is not known: by an older version, or of other settings."""
    try:
        return TrialConfig.from_json(store.read_text(kind, f"{key}{WHOSE}"))
    except (OSError, ValueError, TypeError, KeyError):
        return None
