"""How far the sweeps in a store have come: read from the store alone, by anyone, at any time."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis.sparsity import sparsity_texts
from orchestrator.errors import BadInput
from orchestrator.estimate import Outcome, outcomes
from orchestrator.kept_apart import KeptApart, kept_apart, kept_apart_lines
from orchestrator.outlook import Outlook, outlook
from orchestrator.pruner_text import COLUMNS, pruner_text
from orchestrator.saved_sweeps import latest_sweeps
from orchestrator.spending import Account, accounts_json, accounts_of, budget_line
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points, scan_trials

AXES = ("dataset", "model", "pruner", "density")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Trials by state. `collapsed` ones are among the completed."""

    trials: int
    completed: int
    failed: int
    missing: int
    collapsed: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of every sweep in a store."""

    sweeps: list[str]
    points: int
    total: Counts
    axes: dict[str, dict[str, Counts]]
    """By axis and value; a shared dense trial counts under each pruner."""
    errors: list[tuple[str, str, int]]
    """Type, message and number of failed trials, the most frequent first."""
    kept_apart: list[KeptApart]
    """Completed trials that no sweep here asks for now."""
    estimates: list[Outcome]
    """What each run was expected to take, and what its trials took."""
    left: Outlook
    """What is missing, and how fast it is run."""
    budgets: dict[str, list[Account]]
    """What is spent, by sweep; of those that have a budget."""

    def to_json(self) -> dict[str, Any]:
        """The status as JSON-ready values."""
        return asdict(self) | {
            "estimates": [one.to_json() for one in self.estimates],
            "left": self.left.to_json(),
            "budgets": {sweep: accounts_json(accounts) for sweep, accounts in self.budgets.items()},
        }


def read_status(store: Store) -> Status:
    """The status of a store. Raises BadInput where it holds no sweep."""
    options = [f"{axis}_options" for axis in ("dataset", "model")]
    columns = ["sweep", "trial_id", *AXES, "density_literal", *options]
    asked = scan_points(store).select(list(dict.fromkeys([*columns, *COLUMNS]))).collect()
    if asked.is_empty():
        raise BadInput(f"{store.location} holds no sweep: expected the folder that `prunesweep run SWEEP` wrote")
    pruners = asked.select(COLUMNS).unique()
    texts = pruners.with_columns(
        text=pl.Series([pruner_text(row) for row in pruners.iter_rows(named=True)], dtype=pl.String)
    )
    asked = asked.join(texts, on=COLUMNS, how="left", maintain_order="left", nulls_equal=True).with_columns(
        dataset=_named("dataset"),
        model=_named("model"),
        pruner=pl.col("text"),
        density=pl.col("density_literal"),
    )
    columns = ["trial_id", "status", "collapsed_layers", "error_type", "error_message"]
    trials = scan_trials(store).select(columns).collect()
    joined = asked.join(trials, on="trial_id", how="left")
    axes = {
        axis: {str(value): _count(part) for (value,), part in joined.group_by(axis, maintain_order=True)}
        for axis in AXES
    }
    failed = joined.unique("trial_id").filter(pl.col("status") == "failed")
    errors = failed.group_by("error_type", "error_message").len().sort("len", "error_message", descending=[True, False])
    return Status(
        sweeps=sorted(set(asked["sweep"])),
        points=asked.height,
        total=_count(joined),
        axes=axes,
        kept_apart=kept_apart(store),
        errors=[(str(kind), str(message), int(count)) for kind, message, count in errors.iter_rows()],
        estimates=outcomes(store),
        left=outlook(store),
        budgets={
            name: accounts_of(one.file.sweep, one.options, store)
            for name, one in latest_sweeps(store).items()
            if one.file.sweep.budget
        },
    )


def show_status(status: Status, store: Store, console: Console) -> None:
    """Print the status and what to type next."""
    total = status.total
    console.print(
        f"[bold]{escape(', '.join(status.sweeps))}[/]: {total.completed:,} of {total.trials:,} trials completed "
        f"({total.collapsed:,} collapsed), {total.failed:,} failed, {total.missing:,} missing",
        highlight=False,
    )
    table = Table("axis", "value", box=None, header_style="dim")
    for heading in ("completed", "collapsed", "failed", "missing"):
        table.add_column(heading, justify="right")
    sparsities = sparsity_texts(float(value) for value in status.axes["density"])
    axes = dict(status.axes)
    axes["sparsity"] = {sparsities[float(value)]: counts for value, counts in axes.pop("density").items()}
    for axis, values in axes.items():
        for index, (value, counts) in enumerate(values.items()):
            numbers = (counts.completed, counts.collapsed, counts.failed, counts.missing)
            table.add_row(
                "" if index else axis, escape(value), *(f"{number:,}" if number else "·" for number in numbers)
            )
    console.print(table)
    for kind, message, count in status.errors:
        console.print(f"{count:,} x {kind}: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    for line in kept_apart_lines(status.kept_apart, store.location):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for line in status.left.lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for sweep, accounts in status.budgets.items():
        console.print(budget_line(sweep, accounts), markup=False, highlight=False, soft_wrap=True)
    for outcome in status.estimates:
        console.print(outcome.line(), style="dim", markup=False, highlight=False, soft_wrap=True)
    next_step = "resume" if total.failed or total.missing else "report"
    next_command = f"Next: prunesweep {next_step} {shlex.quote(store.location)}"
    console.print(next_command, markup=False, highlight=False, soft_wrap=True)


def _named(axis: str) -> pl.Expr:
    """A name with its options, where it has any."""
    options = pl.col(f"{axis}_options")
    return pl.when(options == "{}").then(axis).otherwise(pl.format("{} {}", axis, options))


def _count(rows: pl.DataFrame) -> Counts:
    trials = rows.unique("trial_id")
    return Counts(
        trials=trials.height,
        completed=int((trials["status"] == "completed").sum()),
        failed=int((trials["status"] == "failed").sum()),
        missing=int(trials["status"].is_null().sum()),
        collapsed=int((trials["collapsed_layers"] > 0).sum()),
    )
