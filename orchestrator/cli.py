"""The command line: what each command is called and what it calls. Nothing is computed here.

Heavy imports happen inside the commands that need them, so that `prunesweep --help` answers at once.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from orchestrator.errors import BadInput
from training.config import CHECKPOINT_SECONDS

app = typer.Typer(
    name="prunesweep",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sweeps of neural-network pruning: one file in, Parquet and a report out.",
    epilog="Exit codes: 0 done, 1 some trials failed, 2 bad input, 3 interrupted and resumable, 4 our own fault.",
)
# bound now: while Ray runs, sys.stdout takes what Ray prints; no emoji: a pruner may be called mine:X
out = Console(file=sys.stdout, emoji=False)
err = Console(file=sys.stderr, emoji=False)

SweepPath = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
StoreDir = Annotated[str, typer.Argument(metavar="DIR", help="The results folder of a sweep, or its address.")]
ResultsDir = Annotated[
    str | None, typer.Option("--results", metavar="DIR", help="Where results go. Default: results/<name of the sweep>.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Slots = Annotated[int, typer.Option(min=1, help="Trials at a time on this machine. Default: its cores.")]
Address = Annotated[str, typer.Option(help="A running Ray to join: 'auto' or host:port. Default: one of our own.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where trials run; auto takes a GPU if there is one.")
]
Engine = Annotated[
    Literal["compact", "reference"],
    typer.Option(help="compact trains the small network that pruning leaves; reference masks the full one."),
]
GpusPerTrial = Annotated[
    float | None,
    typer.Option(min=0, help="GPUs a trial reserves, e.g. 0.25 for four on one. Default: 1 where there are GPUs."),
]
DataRoot = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="The folder of data sets. Default: $PRUNESWEEP_DATA, else ~/.cache/prunesweep/data."
    ),
]
MaxAttempts = Annotated[int, typer.Option(min=1, help="Crashes of its process after which a trial is given up.")]
CheckpointEvery = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Seconds between checkpoints of a trial; shorter trials write none."),
]

TYPER_INTERRUPTED = 130
"""What typer exits with on Ctrl-C."""

UNWRITABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)
"""System errors that are about the place where results go."""

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.command()
def plan(sweep: SweepPath, results: ResultsDir = None, as_json: AsJson = False, data_root: DataRoot = None) -> None:
    """Say what a sweep file would run: points, trials, what is done, what lies beyond maximal compression."""
    from orchestrator.plan import make_plan
    from orchestrator.plan_view import plan_json, require_sound_pruners, show_plan
    from orchestrator.sweepfile import read_sweep_file

    file = read_sweep_file(sweep)
    require_sound_pruners(file)
    store = _store(results, file.sweep.name)
    with _naming_damaged_files(store):
        planned = make_plan(file, store)
    root = _data_root(data_root, file)
    if as_json:
        _print_json(plan_json(file, planned, root))
    else:
        show_plan(file, planned, out, root)


@app.command()
def run(
    sweep: SweepPath,
    results: ResultsDir = None,
    slots: Slots = CORES,
    address: Address = "local",
    device: Device = "auto",
    engine: Engine = "compact",
    gpus_per_trial: GpusPerTrial = None,
    max_attempts: MaxAttempts = 3,
    checkpoint_every: CheckpointEvery = CHECKPOINT_SECONDS,
    data_root: DataRoot = None,
) -> None:
    """Run what a sweep file asks for and the store does not hold yet. Failed trials are left alone (see resume)."""
    from orchestrator.run import RunOptions
    from orchestrator.sweepfile import read_sweep_file

    file = read_sweep_file(sweep)
    options = RunOptions(
        address=address,
        slots=slots,
        device=device,
        engine=engine,
        gpus_per_trial=gpus_per_trial,
        max_attempts=max_attempts,
        checkpoint_seconds=checkpoint_every,
        data_root=_data_root(data_root, file),
    )
    _run(file, _store(results, file.sweep.name), options)


@app.command()
def resume(
    directory: StoreDir,
    slots: Slots = CORES,
    address: Address = "local",
    device: Device = "auto",
    engine: Engine = "compact",
    gpus_per_trial: GpusPerTrial = None,
    max_attempts: MaxAttempts = 3,
    checkpoint_every: CheckpointEvery = CHECKPOINT_SECONDS,
    data_root: DataRoot = None,
) -> None:
    """Run what is missing in a results folder, and try again what failed."""
    from orchestrator.run import RunOptions, load_saved_sweep

    store = _existing_store(directory)
    file = load_saved_sweep(store)
    options = RunOptions(
        address=address,
        slots=slots,
        device=device,
        engine=engine,
        gpus_per_trial=gpus_per_trial,
        max_attempts=max_attempts,
        checkpoint_seconds=checkpoint_every,
        retry_failed=True,
        data_root=_data_root(data_root, file),
    )
    _run(file, store, options)


@app.command()
def status(directory: StoreDir, as_json: AsJson = False) -> None:
    """Say how far the sweep in a results folder has come."""
    from orchestrator.status import read_status, show_status

    store = _existing_store(directory)
    with _naming_damaged_files(store):
        state = read_status(store)
    if as_json:
        _print_json(state.to_json())
    else:
        show_status(state, store, out)


@app.command()
def report(
    directory: StoreDir, png: Annotated[bool, typer.Option("--png", help="Also write each figure as PNG.")] = False
) -> None:
    """Write one self-contained HTML page with the sweep's answers."""
    from analysis.report import write_report

    store = _existing_store(directory)
    try:
        with _naming_damaged_files(store):
            paths = write_report(directory, png=png)
    except ValueError as error:
        raise BadInput(str(error)) from None
    for path in paths:
        out.print(store.shown(path), markup=False, highlight=False, soft_wrap=True)


@app.command()
def trial(
    directory: StoreDir,
    trial_id: Annotated[str, typer.Argument(metavar="ID", help="A trial's id, or its first digits.")],
    debug: Annotated[
        bool, typer.Option("--debug", help="Run it again in this process, so that a debugger works.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Run it again and write the trained weights to this .safetensors file."),
    ] = None,
    device: Device = "auto",
    data_root: DataRoot = None,
) -> None:
    """Show one trial, or run it again here without Ray."""
    from orchestrator.inspect_trial import debug_trial, find_stored, find_trial, show_trial
    from orchestrator.run import Exit, load_saved_sweep

    if weights is not None and (weights.suffix != ".safetensors" or not weights.absolute().parent.is_dir()):
        raise BadInput(f"--weights {weights}: expected a .safetensors file in a folder that exists")
    debug = debug or weights is not None
    store = _existing_store(directory)
    with _naming_damaged_files(store):
        stored = None if debug else find_stored(store, trial_id)
    if stored:
        show_trial(store, stored, out)
        return
    file = load_saved_sweep(store)
    identity, config = find_trial(file, trial_id)
    if not debug:
        show_trial(store, identity, out)
        return
    try:
        debug_trial(file, store, identity, config, device, out, _data_root(data_root, file), weights)
    except Exception:  # the trial's own: the debugger has seen it where it was raised
        err.print_exception(max_frames=12)
        err.print("The trial failed, as above. Nothing was written to the store.")
        raise typer.Exit(int(Exit.SOME_FAILED)) from None


@app.command()
def audit(
    directory: StoreDir,
    sample: Annotated[str, typer.Option(metavar="N|P%", help="How many completed trials: a count or a share.")] = "1%",
    seed: Annotated[int, typer.Option(help="Which trials are drawn.")] = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    data_root: DataRoot = None,
) -> None:
    """Run a random sample of trials again on the reference path and say what differs: exit 1 if it is too much."""
    from orchestrator.audit import audit as run_again
    from orchestrator.audit import choose, findings_json, show_findings
    from orchestrator.run import Exit, load_saved_sweep

    store = _existing_store(directory)
    file = load_saved_sweep(store)
    with _naming_damaged_files(store):
        chosen, num_completed = choose(file, store, sample, seed)
        findings = list(run_again(file, store, chosen, device=device, data_root=_data_root(data_root, file)))
    if as_json:
        _print_json(findings_json(findings))
    else:
        show_findings(findings, num_completed, out)
    if any(finding.problems for finding in findings):
        raise typer.Exit(int(Exit.SOME_FAILED))


@app.command()
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


@app.command()
def show(
    what: Annotated[str, typer.Argument(metavar="pruners|models|datasets|presets")], data_root: DataRoot = None
) -> None:
    """List what a sweep file can name; of data sets, also whether they are there."""
    from orchestrator.catalogue import show_catalogue

    show_catalogue(what, out, data_root)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a sweep file, for editors."""
    from orchestrator.sweep import Sweep

    _print_json(Sweep.model_json_schema())


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:  # noqa: PLR0911  (one return an exit code)
    """Run one command; every error becomes a sentence and an exit code."""
    try:
        app(arguments, prog_name="prunesweep")
    except SystemExit as leaving:
        if leaving.code != TYPER_INTERRUPTED:
            return int(leaving.code or 0)
        err.print("Interrupted. What was committed stays; the same command goes on from there.")
        return 3
    except BadInput as error:
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    except OSError as error:
        if error.errno not in UNWRITABLE:
            return _our_fault()
        err.print(f"{error}: make room or choose another place with --results", style="red", markup=False)
        return 2
    except Exception:
        return _our_fault()
    return 0


def _run(file: Any, store: Any, options: Any) -> None:
    from orchestrator.run import Exit, run_sweep
    from orchestrator.store.object_storage import StoreUnreachable

    try:
        with _naming_damaged_files(store):
            outcome, left = run_sweep(file, store, options, out)
    except StoreUnreachable as error:  # it answered when the command began
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(int(Exit.INTERRUPTED)) from None
    where = shlex.quote(store.location)
    done = f"{left.num_completed:,} of {left.num_trials:,} trials completed, {left.num_failed:,} failed"
    next_step = {
        Exit.DONE: f"All done. Next: prunesweep report {where}",
        Exit.SOME_FAILED: f"Next: prunesweep status {where} says why; prunesweep resume {where} tries again",
        Exit.INTERRUPTED: f"Interrupted. Next: prunesweep resume {where}",
    }.get(outcome, f"Some trials could not be run: please report this, with the lines above. Results: {store.location}")
    out.print(f"{file.sweep.name}: {done}. {next_step}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(int(outcome))


def _data_root(given: str | None, file: Any) -> str | None:
    """The root to hand to every worker, absolute; None where nobody named one, and each node has its own default."""
    from training.datasets.root import ROOT_VARIABLE, data_root

    named = given or file.sweep.data_root or os.environ.get(ROOT_VARIABLE)
    return str(data_root(named)) if named else None


def _store(results: str | None, name: str) -> Any:
    from orchestrator.store.layout import Store

    store = Store(results or Path("results") / name)
    store.check()
    return store


def _existing_store(directory: str) -> Any:
    from orchestrator.store.layout import Store

    store = Store(directory)
    store.check()
    if not store.exists("sweeps"):
        raise BadInput(f"{directory} holds no sweep: expected the folder that `prunesweep run SWEEP` wrote")
    return store


@contextmanager
def _naming_damaged_files(store: Any) -> Iterator[None]:
    """Readers fail at a damaged file without saying which: look for it then."""
    import polars as pl

    from orchestrator.store.read import damaged_files

    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(error, OSError) and not store.is_remote:
            raise
        store.check()  # an object store that went away is no damage
        damaged = damaged_files(store)
        if not damaged:
            raise
        raise BadInput(
            f"not a whole Parquet file: {', '.join(damaged)}. Remove it; prunesweep run does again what is lost with it"
        ) from None


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _our_fault() -> int:
    err.print_exception(max_frames=12)
    err.print("This is an error in prunesweep, not in your input: please report it with the lines above.")
    return 4
