"""Commands that look after a store."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Annotated, Any

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


def doctor(
    directory: StoreDir,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Put damaged files aside in quarantine/, mend what can be, delete leftovers."),
    ] = False,
    alone: Annotated[
        bool, typer.Option("--alone", help="No run is going on: everything unfinished is a leftover, however young.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every file of a store and what they say together: exit 1 if something is wrong."""
    from orchestrator.doctor import examine
    from orchestrator.exit_codes import Exit

    store = existing_store(directory)
    found = examine(store, repair=repair, alone=alone)
    if as_json:
        print_json(found.to_json())
    else:
        _show_diagnosis(found, store, repair)
    if not found.is_healthy:
        raise typer.Exit(int(Exit.SOME_FAILED))


def _show_diagnosis(found: Any, store: Any, repair: bool) -> None:
    def say(line: str, style: str | None = None) -> None:
        out.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    for one in found.findings:
        done = f" -> {one.done}" if one.done else ""
        say(f"{one.kind}: {one.what}{done}", "red" if one.is_problem and not done else None)
    problems = sum(one.is_problem for one in found.findings)
    leftovers = len(found.findings) - problems
    say(f"{found.files_checked:,} files checked: {problems:,} problems, {leftovers:,} leftovers.")
    where = shlex.quote(store.location)
    if found.will_run_again:
        shown = ", ".join(one[:12] for one in found.will_run_again[:10])
        more = f" and {len(found.will_run_again) - 10:,} more" if len(found.will_run_again) > 10 else ""
        say(f"{len(found.will_run_again):,} trials were done and run again: {shown}{more}")
    if found.findings and not repair:
        say(f"Next: prunesweep doctor {where} --repair")
    elif found.trials_without_result:
        say(f"{found.trials_without_result:,} trials have no result. Next: prunesweep resume {where}")
