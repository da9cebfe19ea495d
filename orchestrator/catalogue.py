"""What a sweep file can name: pruners, models, data sets and presets, from their tables."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from models.table import MODELS
from orchestrator.errors import BadInput, did_you_mean
from orchestrator.presets import load_presets
from orchestrator.recipe import settings_text
from pruning.table import ALL_PRUNERS, DYNAMIC_PRUNERS, SMALLER_NETWORKS
from training.datasets.root import HOW_TO_NAME_A_ROOT, data_root
from training.datasets.table import DATASETS, DatasetEntry

KINDS = ("pruners", "models", "datasets", "presets")


def show_catalogue(what: str, console: Console, root: str | None = None) -> None:
    """Print what one kind of thing is called. Raises BadInput for anything else."""
    if what not in KINDS:
        raise BadInput(f"show {what}: {did_you_mean(what, KINDS)}")
    if what == "presets":
        _show_presets(console)
        return
    console.print({"pruners": _pruners, "models": _models, "datasets": lambda: _datasets(root)}[what]())
    if what == "datasets":
        console.print(f"Data root: {data_root(root)}, or {HOW_TO_NAME_A_ROOT}.", style="dim", highlight=False)
    console.print("Your own: package.module:Name, beside the sweep file.", style="dim", highlight=False)


def _pruners() -> Table:
    table = Table("name", "score (highest kept)", "rounds", "mode, precision", "needs", "source", box=None)
    for name, entry in ALL_PRUNERS.items():
        how = f"{entry.mode}, {entry.score_dtype}" if entry.reads_network else "any"
        if name in SMALLER_NETWORKS:
            rounds, how = "none", "none"
        elif name in DYNAMIC_PRUNERS:
            rounds = "in training"
        else:
            rounds = str(entry.iterations) if entry.rescores else "1, any"
        table.add_row(name, entry.score, rounds, how, entry.needs, entry.source)
    return table


def _models() -> Table:
    table = Table("name", "what", "options", "source", box=None)
    for name, entry in MODELS.items():
        table.add_row(name, entry.summary, ", ".join(entry.options), entry.source)
    return table


def _datasets(root: str | None) -> Table:
    table = Table("name", "what", "options", "source", "under the data root", box=None)
    for name, entry in DATASETS.items():
        table.add_row(name, entry.summary, ", ".join(entry.options), entry.source, _presence(entry, data_root(root)))
    return table


def _show_presets(console: Console) -> None:
    for name, preset in load_presets().items():
        console.print(f"[bold]{name}[/]: {escape(preset.summary)}", highlight=False)
        lines = [f"{', '.join(row.models)}: {settings_text(preset.training_of_row(row))}" for row in preset.rows]
        lines += [f"pruners: {preset.pruners_text}"] if preset.pruners_text else []
        lines += [f"validation: {preset.validation}", f"source: {preset.source}"]
        lines += [f"deviations: {preset.deviations.strip()}"] if preset.deviations else []
        for line in lines:
            console.print(Padding(line, (0, 0, 0, 2)), highlight=False, markup=False)
    console.print("preset: NAME in a sweep file; keys written there take precedence.", style="dim", highlight=False)


def _presence(entry: DatasetEntry, root: Path) -> str:
    """Whether a data set's files are there, or which are not."""
    if not entry.files:
        return "needs no files"
    missing = [file for file in entry.files if not (root / file).exists()]
    if not missing:
        return "there"
    get = "downloaded when first used" if entry.is_fetched else "not there"
    return f"{get}: {missing[0]}{' ...' if len(missing) > 1 else ''}"
