"""What a sweep file can name: pruners, models and data sets, from their tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from models.table import MODELS
from orchestrator.errors import BadInput, did_you_mean
from pruning.table import PRUNERS
from training.datasets.table import DATASETS

KINDS = ("pruners", "models", "datasets")


def show_catalogue(what: str, console: Console) -> None:
    """Print one table of names. Raises BadInput for anything else."""
    if what not in KINDS:
        raise BadInput(f"show {what}: {did_you_mean(what, KINDS)}")
    console.print({"pruners": _pruners, "models": _models, "datasets": _datasets}[what]())
    console.print("Your own: package.module:Name, beside the sweep file.", style="dim", highlight=False)


def _pruners() -> Table:
    table = Table("name", "score (highest kept)", "rounds", "mode, precision", "needs", "source", box=None)
    for name, entry in PRUNERS.items():
        rounds = str(entry.iterations) if entry.rescores else "1, any"
        how = f"{entry.mode}, {entry.score_dtype}" if entry.reads_network else "any"
        table.add_row(name, entry.score, rounds, how, entry.needs, entry.source)
    return table


def _models() -> Table:
    table = Table("name", "what", "options", "source", box=None)
    for name, entry in MODELS.items():
        table.add_row(name, entry.summary, ", ".join(entry.options), entry.source)
    return table


def _datasets() -> Table:
    table = Table("name", "what", "options", "source", box=None)
    for name, entry in DATASETS.items():
        table.add_row(name, entry.summary, ", ".join(entry.options), entry.source)
    return table
