"""The time by which a run has to be over, and what is begun before it.

No trial is begun that would not end in time, going by the longest that is known. Trials of nearly the whole time are
begun at any time: they cannot end in a task of a queue at all, and go on from their checkpoint in the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from orchestrator.cost import PHASES
from orchestrator.errors import BadInput
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table

TOO_LONG = 0.9
"""Share of the whole time from which on a trial is begun whatever is left: its start-up takes some of the rest."""


@dataclass(kw_only=True)
class Deadline:
    """Unix times, because processes on several machines read them."""

    began: float
    end: float
    longest_seconds: float = 0.0
    """Of the trials known so far."""

    def has_time(self, now: float) -> bool:
        """Whether a trial that is begun now can be expected to end in time."""
        is_too_long = self.longest_seconds >= TOO_LONG * (self.end - self.began)
        return now <= self.end and (is_too_long or now + self.longest_seconds <= self.end)

    def saw(self, seconds: float) -> None:
        """A trial took this long."""
        self.longest_seconds = max(self.longest_seconds, seconds)


def longest_trial_seconds(store: Store) -> float:
    """Of all completed trials in a store; 0 where there is none."""
    completed = scan_table(store, "trials").filter(pl.col("status") == "completed")
    seconds = completed.select(pl.sum_horizontal(PHASES).max()).collect().item()
    return float(seconds or 0.0)


def parse_duration(text: str) -> float:
    """Seconds of `[days-]hours:minutes:seconds`.

    >>> parse_duration("04:00:00"), parse_duration("1-00:30:00")
    (14400.0, 88200.0)
    """
    found = re.fullmatch(r"(?:([0-9]+)-)?([0-9]+):([0-5][0-9]):([0-5][0-9])", text)
    if not found:
        raise BadInput(
            f"{text!r} is no duration: expected hours:minutes:seconds as in 04:00:00, or 1-12:00:00 with days"
        )
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
