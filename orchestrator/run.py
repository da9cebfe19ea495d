"""Run a sweep against a store, from whatever state the store is in, until nothing is left to run.

Execution is at least once, results are exactly once: what to run is always planned - committed, so a run that was
killed is continued by the same command. Nothing is locked; two runners on one store at worst do some work twice.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import groupby, pairwise
from pathlib import Path

from rich.console import Console

from orchestrator.cohort import Cohort, RunSettings, publish_run
from orchestrator.deadline import Deadline, longest_trial_seconds
from orchestrator.errors import BadInput
from orchestrator.exit_codes import Exit
from orchestrator.origin import origin_of
from orchestrator.plan import Plan, PlannedTrial, make_plan, publish_points
from orchestrator.progress import RunDisplay
from orchestrator.shard import Shard
from orchestrator.sharing import in_sharing_order, sharing_groups
from orchestrator.spending import BudgetSpent, Metered, Purse
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance
from orchestrator.sweepfile import SweepFile, parse_sweep
from training.config import CHECKPOINT_SECONDS
from training.datasets.table import DATASETS

COHORTS_PER_SLOT = 8
"""So that no slot idles for long at the end while another holds a long queue."""
LARGEST_COHORT = 500
"""Trials; more only where they share levels of training."""
DAYS_A_RUN_MAY_TAKE = 30
"""After that, what a killed run left in `runs/` is removed."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a sweep is run; none of it changes a result."""

    address: str = "local"
    slots: int = 1
    device: str = "auto"
    engine: str = "compact"
    gpus_per_trial: float | None = None
    max_attempts: int = 3
    retry_failed: bool = False
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Between checkpoints of a long trial."""
    data_root: str | None = None
    """The folder of data sets, absolute; None lets each node use its own default."""
    shard: Shard | None = None
    """The part of the sweep to run; None is all of it."""
    time_limit_seconds: float | None = None
    """From now; no trial is begun that would not end before."""


def run_sweep(file: SweepFile, store: Store, options: RunOptions, console: Console) -> tuple[Exit, Plan]:
    """Run what is planned and not committed. Returns the outcome and what the store now lacks."""
    began = time.time()
    _check_device(options)
    plan = make_plan(file, store, retry_failed=options.retry_failed, shard=options.shard)
    if plan.to_run:
        _prepare_data(plan, options)
    save_sweep(file, store)
    purse = _purse(file, store, options)
    while plan.to_run:
        if purse and purse.spent:
            raise BudgetSpent(
                f"{plan.num_completed:,} of {plan.num_trials:,} trials completed, {plan.num_failed:,} failed. Spent: "
                f"{purse.spent}. Nothing further is begun: raise `budget` in the sweep file, and prunesweep run goes on"
            )
        left_before = len(plan.to_run)
        errors, was_stopped = _run_once(file, store, plan, options, _deadline(options, began, store), purse, console)
        if purse:
            purse.read()
        plan = make_plan(file, store, shard=options.shard)  # failures of this run are not retried by it
        if plan.to_run and purse and purse.spent:
            continue
        if plan.to_run and (was_stopped or not errors):
            return Exit.INTERRUPTED if was_stopped or options.time_limit_seconds is None else Exit.OUT_OF_TIME, plan
        if plan.to_run and len(plan.to_run) == left_before:
            console.print(errors[0], style="red", markup=False)
            return Exit.OUR_FAULT, plan
    if plan.num_failed:  # `resume` may go on from their checkpoints
        return Exit.SOME_FAILED, plan
    whole = make_plan(file, store) if options.shard else plan
    if not whole.to_run and not whole.num_failed:
        for unneeded in ("prefixes", "checkpoints"):
            store.remove_folder(unneeded)
    return Exit.DONE, plan


def save_sweep(file: SweepFile, store: Store) -> None:
    """Keep the sweep file verbatim, its grid, and where its user's modules lie."""
    store.publish_text(file.text, "sweeps", f"{file.hash}.yaml")
    origin = {
        "name": file.sweep.name,
        "folder": origin_of(file.folder).folder,
        "last_run_at": datetime.now(UTC).isoformat(),
    }
    store.publish_text(json.dumps(origin, indent=1), "sweeps", f"{file.hash}.json")
    publish_points(file, store)


def load_saved_sweep(store: Store) -> SweepFile:
    """The sweep file that was last run into this store. Raises BadInput where there is none."""
    hashes = [name.removesuffix(".json") for name in store.files("sweeps") if name.endswith(".json")]
    if not hashes:
        raise BadInput(f"{store.location} holds no sweep: expected the folder that `prunesweep run SWEEP` wrote")
    try:
        origins = {one: json.loads(store.read_text("sweeps", f"{one}.json")) for one in hashes}
    except ValueError as error:
        raise BadInput(f"{store.path('sweeps')} holds a damaged .json file ({error}): remove it") from None
    last = max(hashes, key=lambda one: str(origins[one]["last_run_at"]))
    text = store.read_text("sweeps", f"{last}.yaml")
    name = store.shown(store.path("sweeps", f"{last}.yaml"))
    return parse_sweep(text, name=name, folder=Path(origins[last]["folder"]))


def split_cohorts(trials: list[PlannedTrial], *, location: str, run_id: str, slots: int) -> list[Cohort]:
    """Neighbouring trials of one data set and model, in ranges small enough that every slot gets several.

    Trials that share levels of training and pruning stay in one, however many; those that share only the dense training
    do where they fit. `trials` are in sharing order.
    """
    size = min(LARGEST_COHORT, max(1, -(-len(trials) // (COHORTS_PER_SLOT * slots))))
    bounds = [0]
    stop = 0

    def cut() -> None:
        if stop > bounds[-1]:
            bounds.append(stop)

    for _, network in groupby(trials, key=lambda trial: (trial.config.dataset, trial.config.model)):
        for group in sharing_groups(network):
            if stop - bounds[-1] + sum(group) > size >= sum(group):
                cut()
            for num_sharing_levels in group:
                if stop - bounds[-1] + num_sharing_levels > size:
                    cut()
                stop += num_sharing_levels
        cut()
    return [
        Cohort(location=location, run_id=run_id, number=number, start=start, stop=stop)
        for number, (start, stop) in enumerate(pairwise(bounds))
    ]


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
    from orchestrator.ray_tune import Cluster, run_cohorts  # Ray takes a second to import: only when it is needed

    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    settings = RunSettings(
        provenance=_provenance(file.folder, run_id),
        user_folder=str(file.folder),
        device=options.device,
        max_attempts=options.max_attempts,
        engine=options.engine,
        save_masks=file.sweep.save_masks,
        checkpoint_seconds=options.checkpoint_seconds,
        data_root=options.data_root,
        deadline=deadline,
    )
    _remove_old_runs(store)
    trials = in_sharing_order(plan.to_run)
    publish_run(store, settings, trials)
    cohorts = split_cohorts(trials, location=store.location, run_id=run_id, slots=options.slots)
    cluster = Cluster(
        address=options.address,
        slots=options.slots,
        gpus_per_trial=options.gpus_per_trial,
        use_gpus=options.device != "cpu",
    )
    try:
        with RunDisplay(len(plan.to_run), console) as display:
            return run_cohorts(cohorts, cluster, Metered(display, purse) if purse else display), display.was_stopped
    finally:
        store.remove_folder("runs", run_id)


def _purse(file: SweepFile, store: Store, options: RunOptions) -> Purse | None:
    if file.sweep.budget is None:
        return None
    share = 1.0 if options.gpus_per_trial is None else options.gpus_per_trial
    return Purse(file.sweep.budget, store, file.sweep.name, gpus_per_trial=share)


def _deadline(options: RunOptions, began: float, store: Store) -> Deadline | None:
    if options.time_limit_seconds is None:
        return None
    longest = longest_trial_seconds(store)
    return Deadline(began=began, end=began + options.time_limit_seconds, longest_seconds=longest)


def _remove_old_runs(store: Store) -> None:
    """Plans of runs that were killed: what they left to do is planned anew, so only a live run needs its own."""
    oldest = f"{datetime.now(UTC) - timedelta(days=DAYS_A_RUN_MAY_TAKE):%Y%m%dT%H%M%S}"
    for run_id in store.folders("runs"):
        if run_id < oldest:
            store.remove_folder("runs", run_id)


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
    origin = origin_of(folder)
    return Provenance(
        run_id=run_id,
        prunesweep_version=version("prunesweep"),
        torch_version=version("torch"),
        git_commit=origin.git_commit,
        git_dirty=origin.git_dirty,
    )
