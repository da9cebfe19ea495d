"""The command that runs a figure of the SynFlow paper again and says where it agrees."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.arguments import (
    CORES,
    Address,
    Changed,
    DataRoot,
    Device,
    GpusPerTrial,
    ResultsDir,
    RetryFailed,
    Slots,
)
from orchestrator.commands.consoles import out
from orchestrator.commands.running import run_until_done
from orchestrator.commands.stores import data_root_of, store_of
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

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
    results: ResultsDir = None,
    slots: Slots = CORES,
    address: Address = "local",
    device: Device = "auto",
    gpus_per_trial: GpusPerTrial = None,
    data_root: DataRoot = None,
    retry_failed: RetryFailed = False,
    changed: Changed = False,
) -> None:
    """Run a figure of the SynFlow paper, draw it, and say point by point whether it agrees."""
    from analysis.paper.figures import write_figure
    from orchestrator.choice import MISSING, MISSING_AND_FAILED
    from orchestrator.exit_codes import Exit
    from orchestrator.paper import default_results, parts, refuse_other_sweeps, scaled_sweep, scales
    from orchestrator.run import RunOptions

    names = parts(figure)
    number = names[0].removeprefix("figure")
    files = [file for file in (scaled_sweep(part, scale) for part in names) if file]
    if not files:
        others = [one for one in scales() if any(scaled_sweep(part, one) for part in names)]
        raise BadInput(f"figure {number} has nothing at scale {scale}; it has something at {', '.join(others)}")
    location = results or default_results(number, scale)
    store = store_of(location, "")
    refuse_other_sweeps(store, files)
    outcomes = []
    for file in files:
        root = data_root_of(data_root, file)
        if absent := _absent_data(file, root):
            out.print(f"{file.sweep.name} is left out: {absent}", markup=False, highlight=False, soft_wrap=True)
            continue
        options = RunOptions(
            address=address,
            slots=slots,
            device=device,
            gpus_per_trial=gpus_per_trial,
            data_root=root,
            choice=MISSING_AND_FAILED if retry_failed else MISSING,
            allow_changes=changed,
        )
        outcome, left = run_until_done(file, store, options)
        outcomes.append(outcome)
        counts = f"{left.num_completed:,} of {left.num_trials:,} trials completed, {left.num_failed:,} failed"
        out.print(f"{file.sweep.name}: {counts}", markup=False, highlight=False, soft_wrap=True)
        if outcome not in (Exit.DONE, Exit.SOME_FAILED):
            out.print(f"Interrupted. Next: {_typed(context)}", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(int(outcome))
    if not outcomes:
        raise BadInput(f"figure {number}: none of its data sets is there; --scale cpu-minutes needs none")
    judged, paths = write_figure(number, location, scale=scale)
    _show(judged)
    for path in paths:
        out.print(path, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(int(max(outcomes)))


def _typed(context: typer.Context) -> str:
    """The command as it was typed: where the data lie and where it runs is not known otherwise."""
    words = ["prunesweep", "reproduce", context.params["figure"]]
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.param_type_name == "option" and source is not None and source.name == "COMMANDLINE":
            value = context.params[option.name or ""]
            words += [option.opts[0], *([] if value is True else [str(value)])]
    return shlex.join(words)


def _absent_data(file: SweepFile, root: str | None) -> str:
    """Which data set of a sweep is neither there nor can be fetched; "" where all can be had."""
    from training.datasets.root import HOW_TO_NAME_A_ROOT, data_root
    from training.datasets.table import DATASETS

    for name in (name for spec in file.sweep.dataset for name in spec.name):
        entry = DATASETS.get(name)
        if entry and not entry.is_fetched and any(not (data_root(root) / one).exists() for one in entry.files):
            return f"data set {name} is not in {data_root(root)}; name its folder by {HOW_TO_NAME_A_ROOT}"
    return ""


def _show(judged: pl.DataFrame) -> None:
    from rich.table import Table
    from rich.text import Text

    from analysis.paper.words import HEADINGS, NUMBERS, in_words, listed

    rows, unanswered = listed(judged)
    grid = Table(box=None, header_style="dim")
    for name in HEADINGS:
        grid.add_column(name, justify="right" if name in NUMBERS else "left")
    for row in in_words(rows.head(MOST_ROWS)):
        grid.add_row(*map(Text, row))
    out.print(grid)
    counts = rows["verdict"].value_counts().sort("verdict")
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.iter_rows()) or "nothing to judge"
    more = f"; the first {MOST_ROWS} are shown" if rows.height > MOST_ROWS else ""
    out.print(f"{rows.height} points: {said}{more}", highlight=False)
    if unanswered:
        out.print(unanswered, highlight=False)
