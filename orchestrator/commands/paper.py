"""The command that runs a figure of the SynFlow paper again and says where it agrees."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.arguments import (
    CORES,
    Address,
    Changed,
    DataRoot,
    Device,
    GpusPerTrial,
    RetryFailed,
    Slots,
)
from orchestrator.commands.consoles import out
from orchestrator.commands.running import run_until_done
from orchestrator.commands.stores import data_root_of, naming_damaged_files, store_of
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

    from orchestrator.run import RunOptions
    from orchestrator.store.layout import Store
    from orchestrator.sweepfile import SweepFile

MOST_ROWS = 60
"""Of an agreement table that are printed; the files have all of them."""


def reproduce(
    context: typer.Context,
    figure: Annotated[str, typer.Argument(metavar="FIGURE", help="1, 2, 3, 4, 5a, 5b, 6 or 7.")],
    scale: Annotated[
        str,
        typer.Option(help="full (as published), gpu-hour, cpu-hours, cpu-subset or cpu-minutes: docs/reproduction.md."),
    ] = "cpu-minutes",
    results: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where results go. Default: results/paper-FIGURE-SCALE (full: paper-FIGURE)."),
    ] = None,
    slots: Slots = CORES,
    address: Address = "local",
    device: Device = "auto",
    gpus_per_trial: GpusPerTrial = None,
    data_root: DataRoot = None,
    retry_failed: RetryFailed = False,
    changed: Changed = False,
) -> None:
    """Run a figure of the SynFlow paper, draw it, and say point by point whether it agrees."""
    from orchestrator.exit_codes import Exit
    from orchestrator.paper import default_results, parts, refuse_other_sweeps, scaled_sweep, scales

    names = parts(figure)
    number = names[0].removeprefix("figure")
    files = [file for file in (scaled_sweep(part, scale) for part in names) if file]
    if not files:
        others = [one for one in scales() if any(scaled_sweep(part, one) for part in names)]
        raise BadInput(f"figure {number} has nothing at scale {scale}; it has something at {', '.join(others)}")
    location = results or default_results(number, scale)
    store = store_of(location, "")
    refuse_other_sweeps(store, files)

    from orchestrator.choice import MISSING, MISSING_AND_FAILED
    from orchestrator.run import RunOptions  # heavy: only once what was typed is known to be right

    options = RunOptions(
        address=address,
        slots=slots,
        device=device,
        gpus_per_trial=gpus_per_trial,
        choice=MISSING_AND_FAILED if retry_failed else MISSING,
        allow_changes=changed,
    )
    runs = _with_their_data(
        [(file, replace(options, data_root=data_root_of(data_root, file))) for file in files], store
    )
    if not runs:
        raise BadInput(f"figure {number}: none of its data sets can be had; --scale cpu-minutes needs none")
    outcomes = []
    for file, how in runs:
        outcome, left = run_until_done(file, store, how)
        outcomes.append(outcome)
        counts = f"{left.num_completed:,} of {left.num_trials:,} trials completed, {left.num_failed:,} failed"
        _say(f"{file.sweep.name}: {counts}")
        if outcome not in (Exit.DONE, Exit.SOME_FAILED):
            _say(f"Interrupted. Next: {_typed(context)}")
            raise typer.Exit(int(outcome))

    from analysis.paper.figures import write_figure

    judged, paths = write_figure(number, location, scale=scale)
    _show(judged)
    for path in paths:
        _say(path)
    raise typer.Exit(int(max(outcomes)))


def _with_their_data(runs: list[tuple[SweepFile, RunOptions]], store: Store) -> list[tuple[SweepFile, RunOptions]]:
    """The sweeps whose data sets are there or were just fetched; of each other is said why it is left out.

    What has nothing left to run needs no data. On a running Ray the data sets are the nodes' affair.
    """
    from orchestrator.plan import make_plan
    from orchestrator.run import prepare_data

    found = []
    for file, options in runs:
        with naming_damaged_files(store):
            planned = make_plan(file, store, choice=options.choice)
        try:
            if planned.to_run:
                prepare_data(planned, options)
        except BadInput as error:
            _say(f"{file.sweep.name} is left out: {error}")
        else:
            found.append((file, options))
    return found


def _say(sentence: str) -> None:
    out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _typed(context: typer.Context) -> str:
    """The command as it was typed: where the data lie and where it runs is not known otherwise."""
    words = ["prunesweep", "reproduce", context.params["figure"]]
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.param_type_name == "option" and source is not None and source.name == "COMMANDLINE":
            value = context.params[option.name or ""]
            words += [option.opts[0], *([] if value is True else [str(value)])]
    return shlex.join(words)


def _show(judged: pl.DataFrame) -> None:
    from rich.table import Table
    from rich.text import Text

    from analysis.paper.words import HEADINGS, NUMBERS, listed, with_notes

    rows, unanswered = listed(judged)
    grid = Table(box=None, header_style="dim")
    for name in HEADINGS:
        grid.add_column(name, justify="right" if name in NUMBERS else "left")
    shown, notes = with_notes(rows.head(MOST_ROWS))
    for row in shown:
        grid.add_row(*map(Text, row))
    out.print(grid)
    for note in notes:
        _say(note)
    counts = rows["verdict"].value_counts().sort("verdict")
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.iter_rows()) or "nothing to judge"
    more = f"; the first {MOST_ROWS} are shown" if rows.height > MOST_ROWS else ""
    out.print(f"{rows.height} points: {said}{more}", highlight=False)
    if unanswered:
        _say(unanswered)
