"""Commands that read a store and answer."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.commands.arguments import AsJson, StoreDir
from orchestrator.commands.consoles import out, print_json
from orchestrator.commands.stores import existing_store, naming_damaged_files
from orchestrator.errors import BadInput


def status(directory: StoreDir, as_json: AsJson = False) -> None:
    """Say how far the sweep in a results folder has come."""
    from orchestrator.status import read_status, show_status

    store = existing_store(directory)
    with naming_damaged_files(store):
        state = read_status(store)
    if as_json:
        print_json(state.to_json())
    else:
        show_status(state, store, out)


def report(
    directory: StoreDir, png: Annotated[bool, typer.Option("--png", help="Also write each figure as PNG.")] = False
) -> None:
    """Write one self-contained HTML page with the sweep's answers."""
    from analysis.report.write import write_report

    store = existing_store(directory)
    try:
        with naming_damaged_files(store):
            paths = write_report(directory, png=png)
    except ValueError as error:
        raise BadInput(str(error)) from None
    for path in paths:
        out.print(store.shown(path), markup=False, highlight=False, soft_wrap=True)
