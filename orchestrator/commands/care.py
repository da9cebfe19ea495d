"""Commands that look after a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from orchestrator.commands.arguments import AsJson, StoreDir
from orchestrator.commands.consoles import out, print_json
from orchestrator.commands.stores import existing_store, naming_damaged_files


def compact(
    directory: StoreDir,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long replaced files stay for whoever has listed them; 0: nobody reads now. Default: an hour.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Merge a store's many files into few that hold each result once. Safe at any time, also while a sweep runs."""
    from orchestrator.store.compact import GRACE_SECONDS
    from orchestrator.store.compact import compact as merge

    store = existing_store(directory)
    with naming_damaged_files(store):
        done = merge(store, grace_seconds=GRACE_SECONDS if grace is None else grace)
    if as_json:
        print_json(asdict(done))
        return
    lines = [f"{done.files_before:,} files that readers open are now {done.files_after:,}."]
    if done.files_replaced:
        lines.append(
            f"{done.files_replaced:,} replaced files stay for readers that have listed them; compact, run or resume "
            "removes them once their time is over, `compact --grace 0` now."
        )
    if done.disagreeing:
        lines.append(
            f"{done.disagreeing:,} attempts contradict another of their trial: copies are in quarantine/, see "
            "prunesweep doctor."
        )
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
