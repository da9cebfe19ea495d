"""A pruner and how it is applied, in a few words: what `plan` and `status` list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from pruning.schedules import SCHEDULES

COLUMNS = (
    "pruner", "pruner_options", "iterations", "schedule", "scope", "ablation",
    "pre_epochs", "levels", "rewind", "rewind_step", "fine_tune_epochs",
)  # fmt: skip
"""What `pruner_text` reads."""

ALL_STOPS = 3
"""Stops of a schedule that are spelled out; of more, the first two and the last."""


def pruner_text(row: Mapping[str, Any]) -> str:
    """The pruner of a point, from its columns in the store: its options, and whatever is not as usual.

    >>> usual = {"pruner": "snip", "pruner_options": "{}", "iterations": 1, "schedule": "exponential", "rewind": "none",
    ...          "scope": "global", "ablation": "none", "pre_epochs": 0, "levels": 1, "fine_tune_epochs": 0}
    >>> pruner_text(usual)
    'snip'
    >>> pruner_text(usual | {"pre_epochs": 2, "fine_tune_epochs": 1, "ablation": "shuffle"})
    'snip (after 2 epochs, fine-tuned for 1; shuffle)'
    """
    name = row["pruner"] if row["pruner_options"] == "{}" else f"{row['pruner']} {row['pruner_options']}"
    said = "; ".join(_said(row))
    return f"{name} ({said})" if said else name


def _said(row: Mapping[str, Any]) -> Iterator[str]:
    if row["iterations"] > 1:
        yield f"{row['iterations']} rounds"
    if row["schedule"] != "exponential":
        yield _schedule_text(row["schedule"])
    if row["scope"] != "global":
        yield f"scope {row['scope']}"
    if row["pre_epochs"]:
        yield _levels_text(row)
    if row["ablation"] != "none":
        yield row["ablation"]


def _schedule_text(schedule: str) -> str:
    if schedule in SCHEDULES:
        return schedule
    stops = schedule.split(",")
    shown = stops if len(stops) <= ALL_STOPS else [*stops[:2], "…", stops[-1]]
    return f"densities {', '.join(stop if stop == '…' else f'{Decimal(stop):.4g}' for stop in shown)}"


def _levels_text(row: Mapping[str, Any]) -> str:
    epochs = f"{row['pre_epochs']} epoch{'' if row['pre_epochs'] == 1 else 's'}"
    most = "" if row["schedule"] in SCHEDULES else "up to "  # a target takes the stops above it
    first = f"after {epochs}" if row["levels"] == 1 else f"{most}{row['levels']} levels of {epochs}"
    if row["rewind"] != "none":
        what = {"weights": "weights", "lr": "learning rate"}[row["rewind"]]
        return f"{first}, {what} rewound to step {row['rewind_step']}"
    return f"{first}, fine-tuned for {row['fine_tune_epochs']}" if row["fine_tune_epochs"] else first
