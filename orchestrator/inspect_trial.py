"""One trial of a store: what is recorded of it, and running it again in this very process."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.diagnostics_view import show_diagnostics
from orchestrator.errors import BadInput
from orchestrator.levels_view import show_levels
from orchestrator.plan import points
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.rows import Provenance, attempt_rows
from orchestrator.sweepfile import SweepFile
from training.config import TrialConfig


def find_trial(file: SweepFile, prefix: str) -> tuple[str, TrialConfig]:
    """The one trial of the sweep whose id starts with `prefix`. Raises BadInput for none or several."""
    found = {identity: config for _, config, _, identity in points(file) if identity.startswith(prefix)}
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        raise BadInput(f"{prefix!r} begins {len(found)} trial ids: give more digits")
    raise BadInput(
        f"no trial of sweep {file.sweep.name!r} has an id that starts with {prefix!r}: ids are in the column trial_id "
        "of the table `trials`; a trial whose custom code has changed since has a new id"
    )


def find_stored(store: Store, prefix: str) -> str | None:
    """The one trial with a row whose id starts with `prefix`, of whatever sweep or version of its code; else None."""
    found = scan_trials(store).filter(pl.col("trial_id").str.starts_with(prefix)).select("trial_id").collect()
    return str(found.item()) if found.height == 1 else None


def show_trial(store: Store, identity: str, console: Console) -> None:
    """Print every recorded column of a trial, its levels, its layers and its rounds."""
    row = stored_row(store, identity)
    if row is None:
        console.print(f"{identity} has not been run yet", highlight=False)
        return
    table = Table(box=None, show_header=False)
    for column, value in row.items():
        if value is not None and column not in ("error_traceback", "output"):
            table.add_row(column, escape(str(value)))
    console.print(table)
    show_levels(store, row, console)
    show_diagnostics(store, identity, console)
    if row["output"]:
        console.print("[dim]printed:[/]")
        console.print(row["output"], markup=False, highlight=False)
    if row["error_traceback"]:
        console.print(row["error_traceback"], markup=False, highlight=False)


def stored_row(store: Store, identity: str) -> dict[str, Any] | None:
    """The row of a trial as readers see it, or None."""
    rows = scan_trials(store).filter(pl.col("trial_id") == identity).collect()
    return rows.row(0, named=True) if rows.height else None


def debug_trial(
    file: SweepFile,
    store: Store,
    identity: str,
    config: TrialConfig,
    device: str,
    console: Console,
    data_root: str | None = None,
    weights: Path | None = None,
) -> None:
    """Run the trial here, without Ray and without catching what it raises, and compare with the store.

    The trained network's weights are written to the file `weights`, if one is given: the full network, removed weights
    exactly zero.
    """
    from models.weights import write_weights
    from training.context import CohortContext
    from training.trial import run_trial

    UserCode(file.folder).make_importable()
    about = {"trial_id": identity, "config": config.to_json()}
    keep = None if weights is None else partial(write_weights, path=weights, about=about)
    record = run_trial(config, CohortContext(device, data_root=data_root), keep)
    nowhere = Provenance(run_id="", prunesweep_version="", torch_version="", git_commit=None, git_dirty=None)
    rows = attempt_rows(record, trial_id=identity, attempt_id="", attempt=0, provenance=nowhere)
    now = rows["trials"][0]
    stored = stored_row(store, identity) or {}
    table = Table("", "stored", "now", box=None, header_style="dim")
    for column in ("kept_weights", "live_weights", "collapsed_layers", "final_train_loss", "final_test_accuracy"):
        table.add_row(column, str(stored.get(column, "")), str(now.get(column, "")))
    console.print(table)
    if weights is not None:
        console.print(f"Trained weights: {weights}", markup=False, highlight=False, soft_wrap=True)
    console.print("Nothing was written to the store.", highlight=False)
