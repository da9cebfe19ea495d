"""Run a sweep against a store, from whatever state the store is in, until nothing is left to run.

Execution is at least once, results are exactly once: what to run is always planned - committed, so a run that was
killed is continued by the same command. Nothing is locked; two runners on one store at worst do some work twice.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.changes import change_since_last_run
from orchestrator.choice import MISSING, Choice
from orchestrator.cohort import RUNNER, RunSettings, publish_run
from orchestrator.deadline import Deadline, longest_trial_seconds
from orchestrator.errors import BadInput
from orchestrator.estimate import forecast, keep_forecast
from orchestrator.exit_codes import Exit
from orchestrator.gpu_fit import fit
from orchestrator.leftovers import remove_old_runs, tidy
from orchestrator.merging import MergesMeanwhile
from orchestrator.origin import origin_of
from orchestrator.plan import Plan, make_plan
from orchestrator.private_ray import close_to_others
from orchestrator.progress import RunDisplay
from orchestrator.resources import FITTED, Gpus, asks_to_fit, device_here, paid_as_told, trial_resources
from orchestrator.run_state import RunState
from orchestrator.saved_sweeps import last_told, save_sweep
from orchestrator.schedule import Schedule, in_running_order
from orchestrator.shard import Shard
from orchestrator.sizes import cost_model
from orchestrator.spending import BudgetSpent, Metered, Purse
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance
from orchestrator.sweepfile import SweepFile
from training.config import CHECKPOINT_SECONDS
from training.datasets.table import DATASETS

REMEMBERED = (
    *("device", "engine", "gpus_per_trial", "cpus_per_trial"),
    *("max_attempts", "time_limit_seconds", "checkpoint_seconds", "data_root"),
)
"""Options that a resume takes over: how each trial is run. Where, how many at a time, which part and until when is for
whoever resumes to say: the machine may be another."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a sweep is run; none of it changes a result."""

    address: str = "local"
    slots: int = 1
    device: str = "auto"
    engine: str = "compact"
    gpus_per_trial: Gpus = None
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
    """The folder of data sets, absolute; None lets each node use its own variable or default."""
    shard: Shard | None = None
    """The part of the sweep to run; None is all of it."""
    within_seconds: float | None = None
    """From now; no trial is begun that would not end before."""
    print_json: Callable[[dict[str, Any]], None] | None = None
    """Gets how the run goes as JSON-ready values, now and then; None: sentences on the console."""
    runner: str = RUNNER
    """What runs the trials of a cohort (`RunSettings.runner`)."""

    def to_remember(self) -> dict[str, Any]:
        """What a resume takes over, where it is not what it would be anyway."""
        fresh = RunOptions()
        return {name: getattr(self, name) for name in REMEMBERED if getattr(self, name) != getattr(fresh, name)}


def run_sweep(file: SweepFile, store: Store, options: RunOptions, console: Console) -> tuple[Exit, Plan]:
    """Run what is planned and not committed. Returns the outcome and what the store now lacks."""
    try:
        with MergesMeanwhile(store):
            outcome, plan = _run_until_done(file, store, options, console)
    except BudgetSpent:
        tidy(store, console)
        raise
    tidy(store, console, is_leaving=outcome in (Exit.INTERRUPTED, Exit.OUT_OF_TIME))
    return outcome, plan


def _run_until_done(file: SweepFile, store: Store, options: RunOptions, console: Console) -> tuple[Exit, Plan]:
    began = time.time()
    _check_device(options)
    plan = make_plan(file, store, choice=options.choice, shard=options.shard)
    _show_change(file, plan, store, options, console)
    if plan.to_run:
        prepare_data(plan, options)
    elif options.choice.failed and plan.num_failed:
        console.print(f"--error or --attempts leave all {plan.num_failed:,} failed trials out", highlight=False)
    told = options.to_remember()
    if asks_to_fit(file.sweep, options.gpus_per_trial):
        gpus = _fit_gpus(plan, store, options, console)
        told |= {FITTED: gpus} if gpus else last_told(file.sweep.name, store, FITTED)
        options = replace(options, gpus_per_trial=gpus or options.gpus_per_trial)
    save_sweep(file, store, told)
    purse = _purse(file, store, told)
    while plan.to_run:
        if purse and purse.spent:
            raise BudgetSpent(
                f"{plan.num_completed:,} of {plan.num_trials:,} trials completed, {plan.num_failed:,} failed. Spent: "
                f"{purse.spent}. Nothing further is begun: raise `budget` in the sweep file, and prunesweep run goes on"
            )
        left_before = len(plan.to_run)
        deadline = _deadline(options, began, store)
        errors, was_stopped = _run_once(file, store, plan, options, deadline, purse, console)
        # failures of this run are not retried by it
        plan = make_plan(file, store, choice=options.choice.once, shard=options.shard)
        if purse:
            purse.read()
            if purse.spent:
                continue
        is_cut_short = bool(plan.to_run) or (options.choice.failed and plan.num_failed > 0)
        if (was_stopped and is_cut_short) or (plan.to_run and not errors):
            return Exit.INTERRUPTED if was_stopped or deadline is None else Exit.OUT_OF_TIME, plan
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
    file: SweepFile,
    store: Store,
    plan: Plan,
    options: RunOptions,
    deadline: Deadline | None,
    purse: Purse | None,
    console: Console,
) -> tuple[list[str], bool]:
    """One Tune run over all that is left. Returns the errors of cohorts cut short, and whether it was stopped."""
    if options.address == "local":
        close_to_others()
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
        save_unit_scores=file.sweep.save_unit_scores,
        checkpoint_seconds=options.checkpoint_seconds,
        data_root=options.data_root,
        deadline=deadline,
        runner=options.runner,
    )
    remove_old_runs(store)
    costs = cost_model(file, store, plan, device=options.device, data_root=options.data_root)
    fuses = options.engine == "fused"
    trials = in_running_order(plan.to_run, costs, fuses=fuses)
    publish_run(store, settings, trials)
    keep_forecast(store, run_id, forecast(costs, trials))
    schedule = Schedule(trials, costs, location=store.location, run_id=run_id, deadline=deadline, fuses=fuses)
    cluster = Cluster(
        address=options.address,
        slots=options.slots,
        **trial_resources(file.sweep, options.gpus_per_trial, options.cpus_per_trial),
        use_gpus=options.device != "cpu",
    )
    try:
        with RunDisplay(RunState(trials, schedule.left), console, print_json=options.print_json) as display:
            told = Metered(display, purse) if purse else display
            return run_cohorts(schedule, cluster, told, run_id=run_id), display.was_stopped
    finally:
        store.remove_folder("runs", run_id)


def _check_device(options: RunOptions) -> None:
    """On a Ray of our own, refuse at once what every trial would refuse."""
    if options.device == "cuda" and options.address == "local":
        device_here(options.device)


def prepare_data(plan: Plan, options: RunOptions) -> None:
    """On a Ray of our own, fetch and decode each data set before the first trial, and refuse at once what is amiss."""
    if options.address != "local":
        return
    names = dict.fromkeys(dataset for dataset, _ in plan.networks)
    for dataset in names:
        _require_root(dataset.name, options.data_root)
    read = [dataset for dataset in names if dataset.name in DATASETS and DATASETS[dataset.name].files]
    if not read:
        return
    from training.build import load_dataset

    for dataset in read:
        try:
            load_dataset(dataset, options.data_root)
        except ValueError as error:
            raise BadInput(str(error)) from None


def _require_root(dataset: str, root: str | None) -> None:
    """Refuse a folder of data sets that was named and is not there, where nothing will be downloaded into it."""
    ours = DATASETS.get(dataset)
    if root is None or Path(root).is_dir() or (ours and (ours.is_fetched or not ours.files)):
        return
    raise BadInput(
        f"{root}, where {dataset} is to be read from, is not on this machine: --data-root DIR names the folder of data "
        "sets here"
    )


def _deadline(options: RunOptions, began: float, store: Store) -> Deadline | None:
    if options.within_seconds is None:
        return None
    longest = longest_trial_seconds(store)
    return Deadline(began=began, end=began + options.within_seconds, longest_seconds=longest)


def _fit_gpus(plan: Plan, store: Store, options: RunOptions, console: Console) -> float | None:
    """What of a GPU each trial is to reserve for as many as possible to fit, and a line on it; None on a CPU."""
    if not plan.to_run:
        return None
    device = device_here(options.device) if options.address == "local" else options.device
    found = fit(plan.to_run, store, device=device, engine=options.engine)
    console.print(found.line, markup=False, highlight=False, soft_wrap=True)
    return found.gpus_per_trial or None


def _purse(file: SweepFile, store: Store, told: Mapping[str, Any]) -> Purse | None:
    if file.sweep.budget is None:
        return None
    return Purse(file.sweep.budget, store, file.sweep.name, **paid_as_told(file.sweep, told))


def _provenance(folder: Path, run_id: str) -> Provenance:
    origin = origin_of(folder)
    return Provenance(
        run_id=run_id,
        prunesweep_version=version("prunesweep"),
        torch_version=version("torch"),
        git_commit=origin.git_commit,
        git_dirty=origin.git_dirty,
    )
