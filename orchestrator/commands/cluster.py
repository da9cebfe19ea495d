"""Commands about sweeps on a running Ray cluster: submit, list, read, end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from orchestrator.commands.arguments import AsJson, SweepPath
from orchestrator.commands.consoles import err, out, print_json
from orchestrator.errors import BadInput

STORE_VARIABLE = "PRUNESWEEP_STORE"
SET_BY_SUBMIT = ("--address", "--results", "--shard", "--retry-failed")

ServerAddress = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        envvar="RAY_API_SERVER_ADDRESS",
        help="The cluster's dashboard, e.g. http://localhost:8265.",
    ),
]
SweepName = Annotated[str, typer.Argument(metavar="NAME", help="The name of a submitted sweep, or a job's id.")]


def submit(
    context: typer.Context,
    sweep: SweepPath,
    address: ServerAddress = "http://localhost:8265",
    results: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help=f"Where results go: a bucket or a shared folder. Default: ${STORE_VARIABLE}/name."
        ),
    ] = None,
    shards: Annotated[
        int, typer.Option(min=1, help="Jobs to split the sweep into, for sweeps beyond 10^5 trials.")
    ] = 1,
    installed: Annotated[
        bool,
        typer.Option("--installed", help="Run the prunesweep that the cluster has installed; ship no code of ours."),
    ] = False,
    ship: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A further file beside the sweep file that trials read.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show progress until it ends; Ctrl-C leaves it running.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be shipped and run, and stop.")] = False,
) -> None:
    """Hand a sweep to a running Ray cluster, where it goes on without you. What follows -- goes to `prunesweep run`."""
    from orchestrator.expand import expand
    from orchestrator.plan_view import require_sound_pruners
    from orchestrator.shipment import pack
    from orchestrator.sources import UserCode
    from orchestrator.submit import Submission
    from orchestrator.submit import submit as start
    from orchestrator.sweepfile import read_sweep_file

    run_options = list(context.args)
    _check_run_options(sweep, run_options)
    file = read_sweep_file(sweep)
    require_sound_pruners(file)
    next(expand(file.sweep, UserCode(file.folder)))  # what it reads beside the file is there
    submission = Submission(
        sweep=file.sweep.name,
        sweep_file=sweep.name,
        shipment=pack(file, sweep, installed=installed, also=ship or []),
        results=_shared(results, file.sweep.name),
        num_shards=shards,
        run_options=run_options,
    )
    _show_shipment(submission.shipment)
    if dry_run:
        for shard in submission.shards:
            out.print(submission.command(shard, retry_failed=False), markup=False, highlight=False, soft_wrap=True)
        return
    server = _server(address)
    jobs = start(submission, server, out)
    if follow:
        _follow(server, jobs)
    _say_next(submission.sweep, address, submission.results)


def jobs(address: ServerAddress = "http://localhost:8265", as_json: AsJson = False) -> None:
    """List the sweeps that were submitted to a cluster."""
    from dataclasses import asdict

    known = _server(address).jobs()
    if as_json:
        print_json([asdict(job) for job in known])
        return
    table = Table("sweep", "shard", "status", "submitted", "job", "results", box=None, header_style="dim")
    for job in known:
        since = f"{datetime.fromtimestamp(job.started_at, UTC):%Y-%m-%d %H:%M} UTC" if job.started_at else ""
        table.add_row(
            *(_plain(text) for text in (job.sweep, job.shard, job.status.lower(), since)), job.job_id, job.results
        )
    out.print(table if known else "No sweep was submitted there.", soft_wrap=True)


def logs(
    name: SweepName,
    address: ServerAddress = "http://localhost:8265",
    follow: Annotated[bool, typer.Option("--follow", help="Go on until it ends; Ctrl-C leaves it running.")] = False,
) -> None:
    """Print what a submitted sweep has printed."""
    from orchestrator.submit import find_jobs

    server = _server(address)
    found = find_jobs(server, name)
    if follow:
        _follow(server, found)
    for job in found:
        for line in server.log(job.job_id).splitlines():
            _show(f"[{job.shard}] {line}" if job.shard else line)


def cancel(name: SweepName, address: ServerAddress = "http://localhost:8265") -> None:
    """End a submitted sweep. What was committed stays, trials in flight are finished if that takes seconds."""
    from orchestrator.submit import find_jobs

    server = _server(address)
    for job in find_jobs(server, name):
        was_live = server.stop(job.job_id)
        _show(f"{job.job_id} was asked to stop" if was_live else f"{job.job_id} had ended ({job.status.lower()})")


def _server(address: str) -> Any:
    from orchestrator.ray_jobs import JobServer  # Ray takes a second to import

    return JobServer(address)


def _follow(server: Any, found: Iterable[Any]) -> None:
    """Show progress, and leave with the outcome; Ctrl-C leaves the sweep running."""
    from orchestrator.submit import follow

    try:
        outcome = follow(server, list(found), _show)
    except KeyboardInterrupt:
        err.print("Detached: the sweep goes on. prunesweep logs NAME --follow shows it again.")
        raise typer.Exit(0) from None
    raise typer.Exit(int(outcome))


def _check_run_options(sweep: Path, given: list[str]) -> None:
    """Refuse here what `run` would refuse on the cluster, and what submit sets itself."""
    from typer.main import get_command

    from orchestrator.cli import app

    for option in SET_BY_SUBMIT:
        if any(word == option or word.startswith(f"{option}=") for word in given):
            raise BadInput(f"{option} after --: submit sets it")
    command = get_command(app).commands["run"]  # type: ignore[attr-defined]  # click's Group
    command.make_context("run", [str(sweep), *given])


def _shared(results: str | None, name: str) -> str:
    """The address of the store. Raises BadInput where the cluster could not find it, or it holds a secret."""
    from orchestrator.store.object_storage import refuse_credentials

    if results is None:
        root = os.environ.get(STORE_VARIABLE)
        if not root:
            raise BadInput(
                "where should results go? --results names a bucket (s3://bucket/path) or a folder that every node "
                f"sees, or set ${STORE_VARIABLE} to where all sweeps go"
            )
        results = f"{root.rstrip('/')}/{name}"
    if "://" in results:
        refuse_credentials(results)
    elif not Path(results).is_absolute():
        raise BadInput(
            f"--results {results}: the cluster works elsewhere: expected an absolute path, or s3://bucket/path"
        )
    return results


def _show_shipment(shipment: Any) -> None:
    from orchestrator.shipment import format_bytes

    out.print(f"To ship: {len(shipment.files)} files, {format_bytes(shipment.num_bytes)}", highlight=False)
    for name, num_files, num_bytes in shipment.summary():
        _show(f"  {name}  {f'{num_files} files, ' if num_files > 1 else ''}{format_bytes(num_bytes)}")


def _say_next(name: str, address: str, results: str) -> None:
    import shlex

    where = f"{shlex.quote(name)} --address {shlex.quote(address)}"
    _show(
        f"Next: prunesweep logs {where} --follow; prunesweep cancel {where}; prunesweep status {shlex.quote(results)}"
    )


def _show(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
