"""Commands that read a store and answer."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands.arguments import AsJson, StoreDir, StoreDirs
from orchestrator.commands.cluster import submitted
from orchestrator.commands.consoles import out, print_json
from orchestrator.commands.stores import existing_store, naming_damaged_files
from orchestrator.errors import BadInput


def status(
    directory: StoreDir,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Of a submitted sweep: the cluster's dashboard; DIR is then the sweep's name."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how far the sweep in a results folder has come, or one that was submitted."""
    from orchestrator.status import read_status, show_status

    found = submitted(directory, address) if address else []
    store = existing_store(found[0].results if found else directory)
    with naming_damaged_files(store):
        state = read_status(store)
    if as_json:
        print_json(state.to_json() | ({"jobs": [asdict(job) for job in found]} if found else {}))
        return
    for job in found:
        out.print(f"{job.job_id}: {job.status.lower()}", markup=False, highlight=False, soft_wrap=True)
    show_status(state, store, out)


GIVE_BACK = "narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0"
"""To Polars' allocator: memory that is free is soon the system's. A third of the memory of a large report; at
once would cost as many seconds again."""


def report(
    directories: StoreDirs,
    png: Annotated[bool, typer.Option("--png", help="Also write each figure as PNG.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="Also write each figure as SVG.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Also write each table as CSV.")] = False,
    notebook: Annotated[bool, typer.Option("--notebook", help="Also write a notebook that makes all of it.")] = False,
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="DIR", help="Where it goes. Default: DIR itself; of several, DIR/compared."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="FILE", help="Published curves to compare with, CSV or Parquet."),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            "--select",
            metavar="AXIS",
            help="Choose this axis, e.g. lr or epoch, by validation accuracy for each curve and sparsity; report test.",
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write each trial as a run of TensorBoard (pip install tensorboard)."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Write it again and again until no trial is missing.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, metavar="SECONDS", help="With --watch: how often.")] = 30,
) -> None:
    """Write one self-contained HTML page with the sweep's answers; of several stores side by side."""
    # read once, when Polars is loaded, which leaves its own to the processes that it starts
    os.environ["_RJEM_MALLOC_CONF"] = GIVE_BACK
    from analysis.report.watch import watch_report
    from analysis.report.write import default_place, write_report
    from orchestrator.store.layout import Store

    if watch and tensorboard is not None:
        raise BadInput("--tensorboard with --watch: a run of TensorBoard is written once; leave out one of them")
    stores = [existing_store(directory) for directory in directories]
    place = Store(into or default_place(*directories))
    wanted = {"png": png, "svg": svg, "csv": csv, "notebook": notebook}
    options: dict[str, Any] = {
        "into": into,
        "also": [kind for kind, is_wanted in wanted.items() if is_wanted],
        "published": reference,
        "select": select,
    }
    try:
        with ExitStack() as checks:
            for store in stores:
                checks.enter_context(naming_damaged_files(store))
            if not watch:
                for path in write_report(*directories, **options):
                    out.print(place.shown(path), markup=False, highlight=False, soft_wrap=True)
                if tensorboard is not None:
                    _write_runs(directories, tensorboard)
                return
            page = place.shown(place.path("report.html"))
            for counts in watch_report(*directories, every_seconds=every, **options):
                out.print(_progress(counts, page), markup=False, highlight=False, soft_wrap=True)
    except ValueError as error:
        raise BadInput(str(error)) from None
    except KeyboardInterrupt:
        if not watch:
            raise
        out.print("No longer watching: the page stays as it is.", markup=False, highlight=False)


def _write_runs(directories: Sequence[str], folder: Path) -> None:
    from analysis.report.tensorboard import write_runs
    from analysis.scan import scan

    trials = scan(*directories)
    count = write_runs(trials.results, trials.epochs, folder)
    out.print(f"{count:,} runs. Next: tensorboard --logdir {shlex.quote(str(folder))}", markup=False, highlight=False)


def _progress(counts: Mapping[str, int] | None, page: str) -> str:
    if counts is None:
        return "No results yet."
    done = counts["num_trials"] - counts["num_missing"]
    return f"{done:,} of {counts['num_trials']:,} trials, {counts['num_failed']:,} failed: {page}"
