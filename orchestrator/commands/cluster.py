"""Commands about sweeps on a cluster: submit to Ray or Slurm; list, read and end what runs on Ray."""

from __future__ import annotations

import os
import shlex
import sys
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
SET_BY_SUBMIT = ("--address", "--results", "--shard", "--retry-failed", "--within")

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
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Submit a Slurm job array instead, a task a shard, each with its own Ray.")
    ] = False,
    time: Annotated[str, typer.Option(metavar="H:MM:SS", help="Slurm: a task's wall time.")] = "04:00:00",
    cpus_per_task: Annotated[int, typer.Option(min=1, help="Slurm: cores of a task, which run a trial each.")] = 1,
    gpus_per_task: Annotated[int, typer.Option(min=0, help="Slurm: GPUs of a task.")] = 0,
    partition: Annotated[str | None, typer.Option(help="Slurm: the partition.")] = None,
    sbatch: Annotated[
        list[str] | None, typer.Option(metavar="OPTION", help="Slurm: a further option, e.g. --sbatch=--account=lab.")
    ] = None,
) -> None:
    """Hand a sweep to a cluster, where it goes on without you. What follows -- goes to `prunesweep run`."""
    from orchestrator.expand import expand
    from orchestrator.plan_view import require_sound_pruners
    from orchestrator.shipment import pack
    from orchestrator.sources import UserCode
    from orchestrator.sweepfile import read_sweep_file

    run_options = list(context.args)
    _check_run_options(sweep, run_options)
    file = read_sweep_file(sweep)
    require_sound_pruners(file)
    _refuse_relative_data_root(file.sweep.data_root, run_options)
    next(expand(file.sweep, UserCode(file.folder)))  # what it reads beside the file is there
    shipment = pack(file, sweep, installed=installed, also=ship or [])
    asked = {
        "sweep": file.sweep.name,
        "sweep_file": sweep.name,
        "shipment": shipment,
        "results": _shared(results, file.sweep.name, is_slurm=slurm),
        "num_shards": shards,
        "run_options": run_options,
    }
    _show_shipment(shipment)
    if slurm:
        if follow:
            raise BadInput("--follow is for Ray clusters: tail -f shows a task's log, prunesweep status the sweep")
        directives = [f"--cpus-per-task={cpus_per_task}", *(sbatch or [])]
        directives += [f"--gpus-per-task={gpus_per_task}"] if gpus_per_task else []
        directives += [f"--partition={partition}"] if partition else []
        _submit_to_slurm(asked | {"time": time, "directives": directives}, dry_run=dry_run)
    else:
        _submit_to_ray(asked, address, follow=follow, dry_run=dry_run)


def _submit_to_ray(asked: dict[str, Any], address: str, *, follow: bool, dry_run: bool) -> None:
    from orchestrator.submit import Submission
    from orchestrator.submit import submit as start

    submission = Submission(**asked)
    if dry_run:
        for shard in submission.shards:
            _show(submission.command(shard, retry_failed=False))
        return
    server = _server(address)
    started = start(submission, server, out)
    where = f"{shlex.quote(submission.sweep)} --address {shlex.quote(address)}"
    _show(f"Next: prunesweep logs {where} --follow; prunesweep cancel {where}; prunesweep status {where}")
    if follow:
        _follow(server, started)


def _submit_to_slurm(asked: dict[str, Any], *, dry_run: bool) -> None:
    from orchestrator.slurm import ArrayJob, submit_array

    job = ArrayJob(**asked, parent=Path("slurm"))
    if dry_run:
        sys.stdout.write(job.script())
        return
    job_id, is_new = submit_array(job, out)
    _show(
        f"{job_id} submitted: {job.num_shards} task(s), files in {job.folder}"
        if is_new
        else f"{job_id} is in the queue already as {job.name}: nothing was submitted"
    )
    logs = shlex.quote(f"{job.folder}/logs/1.log")
    _show(f"Next: tail -f {logs}; scancel {job_id}; prunesweep status {shlex.quote(job.results)}")


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
    """End a submitted sweep, in all its versions. What was committed stays, and what takes seconds is finished."""
    from orchestrator.submit import jobs_to_end

    server = _server(address)
    for job in jobs_to_end(server, name):
        was_live = server.stop(job.job_id)
        _show(f"{job.job_id} was asked to stop" if was_live else f"{job.job_id} had ended ({job.status.lower()})")


def submitted(name: str, address: str) -> list[Any]:
    """The jobs of a submitted sweep. Raises BadInput where the cluster knows none, or we do not see its results."""
    from orchestrator.store.layout import Store
    from orchestrator.submit import find_jobs

    found = find_jobs(_server(address), name)
    store = Store(found[0].results)
    store.check()
    if not store.exists("sweeps"):
        states = ", ".join(f"{job.job_id} {job.status.lower()}" for job in found)
        raise BadInput(
            f"{states}. Results go to {found[0].results}, and nothing of theirs is to be seen from here yet: "
            f"prunesweep logs {shlex.quote(name)} --address {shlex.quote(address)}"
        )
    return found


def _server(address: str) -> Any:
    from orchestrator.ray_jobs import JobServer  # Ray takes a second to import

    return JobServer(address)


def _follow(server: Any, found: Iterable[Any]) -> None:
    """Show progress, and leave with the outcome; Ctrl-C leaves the sweep running."""
    from orchestrator.exit_codes import Exit
    from orchestrator.ray_jobs import ClusterUnreachable
    from orchestrator.submit import follow

    try:
        outcome = follow(server, list(found), _show)
    except ClusterUnreachable as error:
        err.print(
            f"{error}\nIt answered when this began: its head may be lost, or the way to it. What was committed stays; "
            "once a cluster answers there, the same `prunesweep submit` runs what is missing.",
            style="red", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(int(Exit.INTERRUPTED)) from None
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


def _refuse_relative_data_root(in_file: str | None, run_options: list[str]) -> None:
    if (
        in_file is None
        or Path(in_file).expanduser().is_absolute()
        or any("--data-root" in word for word in run_options)
    ):
        return
    raise BadInput(
        f"data_root {in_file!r} in the sweep file is relative, and the cluster works elsewhere: expected an absolute "
        "path, or `-- --data-root DIR` with the folder that every node sees"
    )


def _shared(results: str | None, name: str, *, is_slurm: bool) -> str:
    """The address of the store. Raises BadInput where the cluster could not find it, or it holds a secret."""
    from orchestrator.store.object_storage import refuse_credentials

    if results is None:
        root = os.environ.get(STORE_VARIABLE) or (str(Path("results").absolute()) if is_slurm else None)
        if not root:
            raise BadInput(
                "where should results go? --results names a bucket (s3://bucket/path) or a folder that every node "
                f"sees, or set ${STORE_VARIABLE} to where all sweeps go"
            )
        results = f"{root.rstrip('/')}/{name}"
    if "://" in results:
        refuse_credentials(results)
    elif is_slurm:  # the tasks see the folders that we see
        results = str(Path(results).absolute())
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


def _show(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
