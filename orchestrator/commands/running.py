"""Commands that plan and run sweeps."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

import typer

from orchestrator.commands.arguments import (
    CORES,
    Address,
    AsJson,
    Changed,
    CheckpointEvery,
    CpusPerTrial,
    DataRoot,
    Device,
    Engine,
    GpusPerTrial,
    JsonProgress,
    MaxAttempts,
    PricePerCpuHour,
    PricePerGpuHour,
    ResultsDir,
    RetryFailed,
    ShardText,
    Slots,
    StoreDir,
    SweepPath,
    TimeLimit,
    Within,
)
from orchestrator.commands.consoles import err, out, print_json, print_json_line
from orchestrator.commands.stores import data_root_of, existing_store, naming_damaged_files, price_of, store_of
from training.config import CHECKPOINT_SECONDS

OPTION_OF = {"time_limit_seconds": "time_limit", "checkpoint_seconds": "checkpoint_every"}
"""What an option is called here where `RunOptions` calls it otherwise."""


def plan(
    sweep: SweepPath,
    results: ResultsDir = None,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    device: Device = "auto",
    price_per_gpu_hour: PricePerGpuHour = None,
    price_per_cpu_hour: PricePerCpuHour = None,
    gpus_per_trial: GpusPerTrial = None,
    cpus_per_trial: CpusPerTrial = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Time a training step of each network here, for a better estimate.")
    ] = False,
) -> None:
    """Say what a sweep file would run: points, trials, what is done, how long the rest takes, what it may cost."""
    from orchestrator.calibrate import calibrate as time_networks
    from orchestrator.changes import change_since_last_run
    from orchestrator.estimate import forecast
    from orchestrator.gpu_fit import fit
    from orchestrator.kept_apart import kept_apart, kept_apart_lines
    from orchestrator.plan import make_plan
    from orchestrator.plan_view import plan_json, require_sound_pruners, show_plan
    from orchestrator.resources import FITTED, asks_to_fit, device_here
    from orchestrator.saved_sweeps import latest_sweeps
    from orchestrator.sizes import cost_model
    from orchestrator.spending import accounts_json, accounts_of, budget_line
    from orchestrator.sweepfile import read_sweep_file

    file = read_sweep_file(sweep)
    require_sound_pruners(file)
    store = store_of(results, file.sweep.name)
    root = data_root_of(data_root, file)
    with naming_damaged_files(store):
        planned = make_plan(file, store)
        costed = device_here(device) if calibrate else device
        costs = cost_model(file, store, planned, device=costed, data_root=root, always=True)
        if calibrate:
            time_networks(file, planned, costs, root)
        change, apart = change_since_last_run(file, planned, store), kept_apart(store)
        last_run = latest_sweeps(store).get(file.sweep.name)
        typed = {"gpus_per_trial": gpus_per_trial, "cpus_per_trial": cpus_per_trial}
        told: dict[str, Any] = dict(last_run.options) if last_run else {}
        told |= {name: value for name, value in typed.items() if value is not None}
        fitted = None
        if planned.to_run and asks_to_fit(file.sweep, told.get("gpus_per_trial")):
            fitted = fit(planned.to_run, store, device=device, engine=told.get("engine", "compact"))
            told |= {FITTED: fitted.gpus_per_trial} if fitted.trials_on_one else {}
        accounts = accounts_of(file.sweep, told, store)
    price = price_of(file.sweep, told, costs.device, price_per_gpu_hour, price_per_cpu_hour)
    expected = forecast(costs, planned.to_run, price)
    if as_json:
        costs_json = {"estimate": expected.to_json(), "budget": accounts_json(accounts)}
        changes = {"change": change.to_json() if change else None, "kept_apart": [asdict(one) for one in apart]}
        sizes = {"fit": fitted.to_json() if fitted else None}
        print_json(plan_json(file, planned, root) | sizes | costs_json | changes)
    else:
        show_plan(file, planned, out, root)
        lines = [fitted.line] if fitted else []
        lines += expected.lines() if len(planned.to_run) else []
        lines += [budget_line(file.sweep.name, accounts)] if accounts else []
        lines += change.lines_of_plan() if change else []
        for line in [*lines, *kept_apart_lines(apart, store.location)]:
            out.print(line, highlight=False, markup=False, soft_wrap=True)


def run(
    sweep: SweepPath,
    results: ResultsDir = None,
    slots: Slots = CORES,
    address: Address = "local",
    device: Device = "auto",
    engine: Engine = "compact",
    gpus_per_trial: GpusPerTrial = None,
    cpus_per_trial: CpusPerTrial = None,
    max_attempts: MaxAttempts = 3,
    time_limit: TimeLimit = None,
    checkpoint_every: CheckpointEvery = CHECKPOINT_SECONDS,
    data_root: DataRoot = None,
    shard: ShardText = None,
    retry_failed: RetryFailed = False,
    within: Within = None,
    as_json: JsonProgress = False,
    changed: Changed = False,
) -> None:
    """Run what a sweep file asks for and the store does not hold yet. Failed trials are left alone (see resume)."""
    from orchestrator.choice import MISSING, MISSING_AND_FAILED
    from orchestrator.deadline import parse_duration
    from orchestrator.run import RunOptions
    from orchestrator.shard import Shard
    from orchestrator.sweepfile import read_sweep_file

    file = read_sweep_file(sweep)
    options = RunOptions(
        address=address,
        slots=slots,
        device=device,
        engine=engine,
        gpus_per_trial=gpus_per_trial,
        cpus_per_trial=cpus_per_trial,
        max_attempts=max_attempts,
        time_limit_seconds=time_limit,
        checkpoint_seconds=checkpoint_every,
        data_root=data_root_of(data_root, file),
        shard=Shard.parse(shard) if shard else None,
        choice=MISSING_AND_FAILED if retry_failed else MISSING,
        within_seconds=parse_duration(within) if within else None,
        print_json=print_json_line if as_json else None,
        allow_changes=changed,
    )
    _run(file, store_of(results, file.sweep.name), options)


def resume(
    context: typer.Context,
    directory: StoreDir,
    slots: Slots = CORES,
    address: Address = "local",
    device: Device = "auto",
    engine: Engine = "compact",
    gpus_per_trial: GpusPerTrial = None,
    cpus_per_trial: CpusPerTrial = None,
    max_attempts: MaxAttempts = 3,
    time_limit: TimeLimit = None,
    checkpoint_every: CheckpointEvery = CHECKPOINT_SECONDS,
    data_root: DataRoot = None,
    as_json: JsonProgress = False,
    only: Annotated[
        Literal["failed", "missing"] | None, typer.Option(help="Run only the trials that failed, or were never run.")
    ] = None,
    error: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help='Of failed trials, those whose "type: message" of the error matches.'),
    ] = None,
    attempts: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Of failed trials, those attempted less than N times."),
    ] = None,
    changed: Changed = False,
) -> None:
    """Run what is missing in a results folder, and try again what failed: each trial as the last run was told to."""
    from orchestrator.choice import Choice
    from orchestrator.run import REMEMBERED, RunOptions
    from orchestrator.saved_sweeps import load_saved_sweep

    choice = Choice.of_resume(only, error, attempts)
    store = existing_store(directory)
    saved = load_saved_sweep(store)
    options = RunOptions(
        address=address,
        slots=slots,
        device=device,
        engine=engine,
        gpus_per_trial=gpus_per_trial,
        cpus_per_trial=cpus_per_trial,
        max_attempts=max_attempts,
        time_limit_seconds=time_limit,
        checkpoint_seconds=checkpoint_every,
        choice=choice,
        data_root=data_root_of(data_root, saved.file),
        print_json=print_json_line if as_json else None,
        allow_changes=changed,
    )
    sources = {name: context.get_parameter_source(OPTION_OF.get(name, name)) for name in REMEMBERED}
    typed = {name for name, source in sources.items() if source and source.name != "DEFAULT"}
    told = {name: value for name, value in saved.options.items() if name in sources and name not in typed}
    _run(saved.file, store, replace(options, **told))


def run_until_done(file: Any, store: Any, options: Any) -> tuple[Any, Any]:
    """`orchestrator.run.run_sweep`, on the console: its outcome and what is left. Exits where it cannot go on."""
    from orchestrator.exit_codes import Exit
    from orchestrator.run import run_sweep
    from orchestrator.spending import BudgetSpent
    from orchestrator.store.object_storage import StoreUnreachable

    try:
        with naming_damaged_files(store):
            return run_sweep(file, store, options, err if options.print_json else out)
    except StoreUnreachable as error:  # it answered when the command began
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        why = str(error)
    except BudgetSpent as spent:
        why = f"{_name(file, options)}: {spent}"
        if not options.print_json:
            out.print(why, markup=False, highlight=False, soft_wrap=True)
    if options.print_json:
        print_json_line({"event": "ended", "exit_code": int(Exit.INTERRUPTED), "why": why})
    raise typer.Exit(int(Exit.INTERRUPTED))


def _run(file: Any, store: Any, options: Any) -> None:
    from orchestrator.exit_codes import Exit

    outcome, left = run_until_done(file, store, options)
    if options.print_json:
        counts = {"completed": left.num_completed, "failed": left.num_failed, "trials": left.num_trials}
        print_json_line({"event": "ended", "exit_code": int(outcome)} | counts)
        raise typer.Exit(int(outcome))
    where = shlex.quote(store.location)
    done = f"{left.num_completed:,} of {left.num_trials:,} trials completed, {left.num_failed:,} failed"
    if left.num_left_out:
        done += f", {left.num_left_out:,} missing that were not asked for"
    next_step = {
        Exit.DONE: f"Next: prunesweep resume {where}"
        if left.num_left_out
        else f"All done. Next: prunesweep report {where}",
        Exit.SOME_FAILED: f"Next: prunesweep status {where} says why; prunesweep resume {where} tries again",
        Exit.OUT_OF_TIME: f"Out of time: no further trial would have ended in it. Next: prunesweep resume {where}",
        Exit.INTERRUPTED: f"Interrupted. Next: prunesweep resume {where}",
    }.get(outcome, f"Some trials could not be run: please report this, with the lines above. Results: {store.location}")
    out.print(f"{_name(file, options)}: {done}. {next_step}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(int(outcome))


def _name(file: Any, options: Any) -> str:
    return f"{file.sweep.name}, shard {options.shard}" if options.shard else str(file.sweep.name)
