"""Run a sweep against a store, from whatever state the store is in, until nothing is left to run.

Execution is at least once, results are exactly once: what to run is always planned - committed, so a run that was
killed is continued by the same command. Nothing is locked; two runners on one store at worst do some work twice.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.changes import change_since_last_run
from orchestrator.choice import MISSING, Choice
from orchestrator.cohort import RUNNER, RunSettings, publish_run
from orchestrator.errors import BadInput
from orchestrator.estimate import forecast, keep_forecast
from orchestrator.leftovers import remove_old_runs, tidy
from orchestrator.plan import Plan, make_plan
from orchestrator.progress import RunDisplay
from orchestrator.run_state import RunState
from orchestrator.saved_sweeps import save_sweep
from orchestrator.schedule import Schedule, in_running_order
from orchestrator.sizes import cost_model
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance
from orchestrator.sweep import Sweep
from orchestrator.sweepfile import SweepFile
from training.config import CHECKPOINT_SECONDS
from training.datasets.table import DATASETS


class Exit(IntEnum):
    """What a command's exit status means."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    INTERRUPTED = 3
    OUR_FAULT = 4


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a sweep is run; none of it changes a result."""

    address: str = "local"
    slots: int = 1
    device: str = "auto"
    engine: str = "compact"
    gpus_per_trial: float | None = None
    """None: as the sweep file says (`ResourceSpec`)."""
    cpus_per_trial: float | None = None
    """None: as the sweep file says."""
    max_attempts: int = 3
    time_limit_seconds: float | None = None
    """For one trial."""
    choice: Choice = MISSING
    """Which trials are run."""
    allow_changes: bool = False
    """Go on where results of the sweep's last run would no longer answer anything."""
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Between checkpoints of a long trial."""
    data_root: str | None = None
    """The folder of data sets, absolute; None lets each node use its own default."""
    print_json: Callable[[dict[str, Any]], None] | None = None
    """Gets how the run goes as JSON-ready values, now and then; None: sentences on the console."""
    runner: str = RUNNER
    """What runs the trials of a cohort (`RunSettings.runner`)."""


def run_sweep(file: SweepFile, store: Store, options: RunOptions, console: Console) -> tuple[Exit, Plan]:
    """Run what is planned and not committed. Returns the outcome and what the store now lacks."""
    outcome, plan = _run_until_done(file, store, options, console)
    tidy(store, console, is_leaving=outcome == Exit.INTERRUPTED)
    return outcome, plan


def _run_until_done(file: SweepFile, store: Store, options: RunOptions, console: Console) -> tuple[Exit, Plan]:
    _check_device(options)
    plan = make_plan(file, store, choice=options.choice)
    _show_change(file, plan, store, options, console)
    if plan.to_run:
        _prepare_data(plan, options)
    elif options.choice.failed and plan.num_failed:
        console.print(f"--error or --attempts leave all {plan.num_failed:,} failed trials out", highlight=False)
    save_sweep(file, store)
    while plan.to_run:
        left_before = len(plan.to_run)
        errors, was_stopped = _run_once(file, store, plan, options, console)
        plan = make_plan(file, store, choice=options.choice.once)  # failures of this run are not retried by it
        is_cut_short = bool(plan.to_run) or (options.choice.failed and plan.num_failed > 0)
        if (was_stopped and is_cut_short) or (plan.to_run and not errors):
            return Exit.INTERRUPTED, plan
        if plan.to_run and len(plan.to_run) == left_before:
            console.print(errors[0], style="red", markup=False)
            return Exit.OUR_FAULT, plan
    return Exit.SOME_FAILED if plan.num_failed else Exit.DONE, plan


def _show_change(file: SweepFile, plan: Plan, store: Store, options: RunOptions, console: Console) -> None:
    """Say what the sweep asks for that its last run did not. Raises BadInput where that would leave results behind."""
    change = change_since_last_run(file, plan, store)
    if change is None:
        return
    lines = change.lines()
    if change.needs_consent and not options.allow_changes:
        raise BadInput(
            f"sweep {file.sweep.name!r} has changed its meaning since it was last run into {store.location}:\n"
            + "".join(f"  {line}\n" for line in lines)
            + "Nothing was run. --changed runs it: older results stay in the store, answer nothing while nobody asks "
            "for them, and count again once a sweep does. Or give the sweep another name, or another --results"
        )
    for line in lines:
        console.print(f"since the last run: {line}", markup=False, highlight=False, soft_wrap=True)


def _run_once(
    file: SweepFile, store: Store, plan: Plan, options: RunOptions, console: Console
) -> tuple[list[str], bool]:
    """One Tune run over all that is left. Returns the errors of cohorts cut short, and whether it was stopped."""
    from orchestrator.ray_tune import Cluster, run_cohorts  # Ray takes a second to import: only when it is needed

    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    settings = RunSettings(
        provenance=_provenance(file.folder, run_id),
        user_folder=str(file.folder),
        device=options.device,
        max_attempts=options.max_attempts,
        time_limit_seconds=options.time_limit_seconds,
        engine=options.engine,
        save_masks=file.sweep.save_masks,
        checkpoint_seconds=options.checkpoint_seconds,
        data_root=options.data_root,
        runner=options.runner,
    )
    remove_old_runs(store)
    costs = cost_model(file, store, plan, device=options.device, data_root=options.data_root)
    trials = in_running_order(plan.to_run, costs)
    publish_run(store, settings, trials)
    keep_forecast(store, run_id, forecast(costs, trials))
    schedule = Schedule(trials, costs, location=store.location, run_id=run_id)
    cluster = Cluster(
        address=options.address,
        slots=options.slots,
        **trial_resources(file.sweep, options.gpus_per_trial, options.cpus_per_trial),
        use_gpus=options.device != "cpu",
    )
    try:
        with RunDisplay(RunState(trials, schedule.left), console, print_json=options.print_json) as display:
            return run_cohorts(schedule, cluster, display, run_id=run_id), display.was_stopped
    finally:
        store.remove_folder("runs", run_id)


def trial_resources(sweep: Sweep, gpus: float | None, cpus: float | None) -> dict[str, Any]:
    """What each trial reserves: what a command says, then the sweep file. None GPUs are one where there are any."""
    in_file = None if sweep.resources.gpu == "auto" else sweep.resources.gpu
    return {
        "gpus_per_trial": in_file if gpus is None else gpus,
        "cpus_per_trial": sweep.resources.cpu if cpus is None else cpus,
    }


def _check_device(options: RunOptions) -> None:
    """On a Ray of our own, refuse at once what every trial would refuse."""
    if options.device == "cuda" and options.address == "local":
        from training.device import prepare_device

        try:
            prepare_device(options.device)
        except ValueError as error:
            raise BadInput(str(error)) from None


def _prepare_data(plan: Plan, options: RunOptions) -> None:
    """On a Ray of our own, fetch and decode each data set before the first trial, and refuse at once what is amiss."""
    names = dict.fromkeys(dataset for dataset, _ in plan.networks)
    read = [dataset for dataset in names if dataset.name in DATASETS and DATASETS[dataset.name].files]
    if not read or options.address != "local":
        return
    from training.build import load_dataset

    for dataset in read:
        try:
            load_dataset(dataset, options.data_root)
        except ValueError as error:
            raise BadInput(str(error)) from None


def _provenance(folder: Path, run_id: str) -> Provenance:
    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    status = git("status", "--porcelain", "--untracked-files=no")
    new_code = git("ls-files", "--others", "--exclude-standard", "--", "*.py")
    return Provenance(
        run_id=run_id,
        prunesweep_version=version("prunesweep"),
        torch_version=version("torch"),
        git_commit=git("rev-parse", "HEAD"),
        git_dirty=None if status is None else bool(status or new_code),
    )
