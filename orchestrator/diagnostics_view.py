"""What pruning did to one trial's network, for people: its layers, and the rounds that tell most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.store.layout import Store
from orchestrator.store.read import scan_children

Row = dict[str, Any]

NOTE = (
    "score: sum over the layer, first and last round · mean: first sum / weights · in = out: largest relative "
    "difference between score into and out of a unit · deviation: of a layer's score from the mean of the layers, R"
)


def show_diagnostics(store: Store, identity: str, console: Console) -> None:
    """Print the layers and rounds of a trial; nothing for one that has none, such as a failed one."""
    layers = _rows(store, "layers", identity, "position")
    rounds = _rows(store, "rounds", identity, "round")
    if not layers:
        return
    console.print()
    console.print(_layers_table(layers))
    if rounds:
        console.print()
        console.print(_rounds_table(telling(rounds), len(rounds)))
    ratio = sum(row["num_weights"] for row in layers) / len(layers)
    console.print(
        f"\nmaximal compression {ratio:,.6g}: weights / layers, where one weight a layer is left", highlight=False
    )
    console.print(NOTE, style="dim", highlight=False)


def telling(rounds: Sequence[Row]) -> list[Row]:
    """The first and last round, that of the largest cut over flow, and that of the first collapse; in order."""
    chosen = {0, len(rounds) - 1, max(range(len(rounds)), key=lambda index: _cut_over_flow(rounds[index]) or 0.0)}
    chosen |= set([index for index, row in enumerate(rounds) if row["collapsed_layers"]][:1])
    return [rounds[index] for index in sorted(chosen)]


def _rows(store: Store, table: str, identity: str, order: str) -> list[Row]:
    return scan_children(store, table).filter(pl.col("trial_id") == identity).sort(order).collect().to_dicts()


def _layers_table(layers: Sequence[Row]) -> Table:
    table = Table("layer", box=None, header_style="dim")
    for heading in ("weights", "kept", "live", "density", "first score", "its mean", "last score", "in = out"):
        table.add_column(heading, justify="right")
    for row in layers:
        first = row["initial_score_sum"]
        table.add_row(
            escape(row["layer"]),
            f"{row['num_weights']:,}",
            f"{row['kept']:,}" if row["kept"] else "[red]none[/red]",
            f"{row['live']:,}",
            _number(row["kept"] / row["num_weights"]),
            _number(first),
            _number(None if first is None else first / row["num_weights"]),
            _number(row["score_sum"]),
            _number(row["unit_conservation_error"]),
        )
    return table


def _rounds_table(rounds: Sequence[Row], num_rounds: int) -> Table:
    table = Table("round", box=None, header_style="dim")
    for heading in ("density", "kept", "cut", "R", "cut / R", "deviation", "collapsed layers"):
        table.add_column(heading, justify="right")
    for row in rounds:
        table.add_row(
            f"{row['round']} of {num_rounds}",
            _number(row["density"]),
            f"{row['kept']:,}",
            _number(row["score_cut"]),
            _number(row["flow"]),
            _number(_cut_over_flow(row)),
            _number(row["layer_deviation"]),
            _number(row["collapsed_layers"]),
        )
    return table


def _cut_over_flow(row: Row) -> float | None:
    return row["score_cut"] / row["flow"] if row["flow"] else None


def _number(value: float | None) -> str:
    """Four digits; a dash for what is not defined or was not recorded."""
    return "–" if value is None else f"{value:.4g}"
