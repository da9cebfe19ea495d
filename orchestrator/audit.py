"""Run a random sample of a store's trials again on the reference path, and say what differs.

What counts as a difference is `orchestrator/audit_rule.py`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl
from rich.console import Console

from orchestrator.audit_rule import Finding, Stored, compare
from orchestrator.errors import BadInput
from orchestrator.plan import points
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_children, scan_trials
from orchestrator.store.rows import Provenance, Row, attempt_rows
from orchestrator.sweepfile import SweepFile
from training.config import TrialConfig


def choose(file: SweepFile, store: Store, sample: str, seed: int) -> tuple[list[tuple[str, TrialConfig]], int]:
    """A random sample of the sweep's completed trials, in the grid's order, and how many there are to draw from.

    The same sample for the same seed and store. `sample` is a count, or a percentage of them: "1%", at least one trial.
    Raises BadInput for anything else, and where no trial is completed.
    """
    done = set(scan_trials(store).filter(pl.col("status") == "completed").select("trial_id").collect()["trial_id"])
    completed = {identity: config for _, config, _, identity in points(file) if identity in done}
    if not completed:
        raise BadInput(f"{store.location} holds no completed trial of sweep {file.sweep.name!r}: nothing to audit yet")
    count = sample_count(sample, len(completed))
    chosen = set(random.Random(seed).sample(sorted(completed), count))
    return [(identity, config) for identity, config in completed.items() if identity in chosen], len(completed)


def sample_count(sample: str, num_trials: int) -> int:
    """How many of `num_trials` are meant.

    >>> sample_count("1%", 430), sample_count("1%", 5), sample_count("7", 5)
    (5, 1, 5)
    """
    text = sample.strip()
    try:
        if text.endswith("%") and 0 < float(text[:-1]) <= 100:
            return math.ceil(round(float(text[:-1]) * num_trials / 100, 9))
        if not text.endswith("%") and int(text) > 0:
            return min(int(text), num_trials)
    except ValueError:
        pass
    raise BadInput(f"--sample {sample}: expected a count such as 5, or a percentage above 0 such as 1%")


def audit(
    file: SweepFile,
    store: Store,
    chosen: Sequence[tuple[str, TrialConfig]],
    *,
    device: str = "auto",
    data_root: str | None = None,
) -> Iterator[Finding]:
    """Run each chosen trial again on the reference path, and compare. Nothing is written to the store.

    Raises BadInput where a data set or the device is not here.
    """
    from training.context import CohortContext
    from training.record import TrialRecord
    from training.trial import run_cohort

    UserCode(file.folder).make_importable()
    try:
        context = CohortContext(device, engine="reference", data_root=data_root)
    except ValueError as error:
        raise BadInput(str(error)) from None

    def again(config: TrialConfig) -> TrialRecord:
        return next(iter(run_cohort([config], context)))

    held = _stored(store, [identity for identity, _ in chosen])
    for identity, config in chosen:
        try:
            dataset = context.dataset(config.dataset)
        except ValueError as error:
            raise BadInput(f"trial {identity} cannot be run again here: {error}") from None
        num_images = {"test": len(dataset.test), "validation": len(dataset.validation)}
        record = again(config)
        if record.error is not None:
            problem = f"it fails on the reference path: {record.error.type}: {record.error.message}"
            yield Finding(trial_id=identity, engine=held[identity].trial["engine"], problems=[problem])
            continue
        yield compare(
            identity, config, held[identity], _rows(record), num_images, run=lambda nudged: _rows(again(nudged))
        )


def show_findings(findings: Sequence[Finding], num_completed: int, console: Console) -> None:
    """Print one line a trial, and the verdict."""
    for one in findings:
        verdict = "differs" if one.problems else "confirmed"
        apart = ", ".join(f"{column} {value:.2g}" for column, value in one.differences.items())
        yardstick = " (as far as rounding carries it)" if one.nudged and not one.problems else ""
        line = f"{one.trial_id[:12]}  {one.engine:10} {verdict}{yardstick}; largest differences: {apart or 'none'}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        for problem in one.problems:
            console.print(f"  {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    num_wrong = sum(bool(one.problems) for one in findings)
    console.print(
        f"{len(findings)} of {num_completed:,} completed trials run again on the reference path: "
        f"{len(findings) - num_wrong} confirmed, {num_wrong} beyond the rule. Nothing was written to the store.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def findings_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {"confirmed": not any(one.problems for one in findings), "trials": [asdict(one) for one in findings]}


def _stored(store: Store, identities: list[str]) -> dict[str, Stored]:
    def rows(frame: pl.LazyFrame, *order: str) -> dict[str, list[Row]]:
        wanted = frame.filter(pl.col("trial_id").is_in(identities)).sort("trial_id", *order).collect()
        found: dict[str, list[Row]] = {identity: [] for identity in identities}
        for row in wanted.iter_rows(named=True):
            found[row["trial_id"]].append(row)
        return found

    trials = rows(scan_trials(store))
    epochs = rows(scan_children(store, "epochs"), "level", "epoch")
    layers = rows(scan_children(store, "layers"), "position")
    return {one: Stored(trial=trials[one][0], epochs=epochs[one], layers=layers[one]) for one in identities}


def _rows(record: Any) -> Stored:
    nowhere = Provenance(run_id="", prunesweep_version="", torch_version="", git_commit=None, git_dirty=None)
    rows = attempt_rows(record, trial_id="", attempt_id="", attempt=0, provenance=nowhere)
    return Stored(trial=rows["trials"][0], epochs=rows["epochs"], layers=rows["layers"])
