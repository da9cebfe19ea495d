"""Commands that help to write a sweep file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.arguments import DataRoot
from orchestrator.commands.consoles import out, print_json
from orchestrator.errors import BadInput


def init(path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("sweep.yaml")) -> None:
    """Write a commented sweep file to start from."""
    if path.exists():
        raise BadInput(f"{path} exists already: name another file, or remove it first")
    text = files("sweeps").joinpath("template.yaml").read_text(encoding="utf-8")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error}") from None
    out.print(f"{path} written. Next: prunesweep plan {path}", markup=False, highlight=False)


def show(
    what: Annotated[str, typer.Argument(metavar="pruners|models|datasets|presets")], data_root: DataRoot = None
) -> None:
    """List what a sweep file can name; of data sets, also whether they are there."""
    from orchestrator.catalogue import show_catalogue

    show_catalogue(what, out, data_root)


def schema() -> None:
    """Print the JSON Schema of a sweep file, for editors."""
    from orchestrator.sweep import Sweep

    print_json(Sweep.model_json_schema())
