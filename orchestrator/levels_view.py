"""The training of one trial, for people: a line for each stretch between two prunings."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from orchestrator.store.layout import Store
from orchestrator.store.read import scan_children
from pruning.schedules import densities_by_round

NOTE = "level: prunings that lie behind · final and best: test accuracy after the level's last epoch and its highest"


def show_levels(store: Store, row: dict[str, Any], console: Console) -> None:
    """Print the levels of the trial in `row`, a row of `trials`; nothing where there is but one."""
    levels = by_level(scan_children(store, "epochs").filter(pl.col("trial_id") == row["trial_id"])).collect()
    if levels.height < 2:
        return
    densities = [Decimal(1), *_densities(row)]
    table = Table("level", box=None, header_style="dim")
    for heading in ("density", "epochs", "final", "best", "at epoch"):
        table.add_column(heading, justify="right")
    for one in levels.iter_rows(named=True):
        table.add_row(
            str(one["level"]),
            f"{densities[one['level']]:.4g}",
            f"{one['first_epoch']} to {one['last_epoch']}",
            f"{one['final_test_accuracy']:.4f}",
            f"{one['best_test_accuracy']:.4f}",
            str(one["best_epoch"]),
        )
    console.print()
    console.print(table)
    console.print(NOTE, style="dim", highlight=False)


def by_level(epochs: pl.LazyFrame) -> pl.LazyFrame:
    """A row a trial and level, in order: its first and last epoch, test accuracy at the last and at the best.

    The best epoch is the first of highest accuracy, as in `trials`; there it is the last level's.
    """
    accuracy = pl.col("test_accuracy")
    return (
        epochs.sort("trial_id", "level", "epoch")
        .group_by("trial_id", "level", maintain_order=True)
        .agg(
            pl.col("epoch").first().alias("first_epoch"),
            pl.col("epoch").last().alias("last_epoch"),
            accuracy.last().alias("final_test_accuracy"),
            accuracy.max().alias("best_test_accuracy"),
            pl.col("epoch").filter(accuracy == accuracy.max()).first().alias("best_epoch"),
        )
    )


def _densities(row: dict[str, Any]) -> Sequence[Decimal]:
    """Density after each level; gradual pruners reach theirs during the last."""
    density = Decimal(row["density_literal"])
    return densities_by_round(row["schedule"], density, row["levels"]) if row["levels"] > 1 else [density]
