"""The time by which a run has to be over, and what is begun before it.

No trial is begun that would not end in time, going by what trials of its kind took, with a margin
(`CostModel.longest`), and where none was measured by the longest that is known. Two are begun all the same, because a
task of a queue that began nothing would be queued for ever: trials of nearly the whole time, which end in no task and
go on from their checkpoint in the next, and a slot's first, where half of the time is left and starting up took the
other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from orchestrator.cost import PHASES, Estimate
from orchestrator.errors import BadInput
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table

TOO_LONG = 0.9
"""Share of the whole time from which on a trial is begun whatever is left: its start-up takes some of the rest."""
ENOUGH_FOR_THE_FIRST = 0.5
"""Share of the whole time with which a slot's first trial is begun, however long it may take."""


@dataclass(kw_only=True)
class Deadline:
    """Unix times, because processes on several machines read them."""

    began: float
    end: float
    longest_seconds: float = 0.0
    """Of the trials known so far."""

    def has_time(self, now: float, needed_seconds: float) -> bool:
        """Whether a trial that needs so much time can be expected to end if it is begun now."""
        return now + needed_seconds <= self.end

    def needed_seconds(self, expected: Estimate | None, *, is_first: bool = False) -> float:
        """How much time has to be left to begin trials that take as long as `expected`; None: none was measured."""
        seconds, at_most = (expected.seconds, expected.high) if expected else (self.longest_seconds,) * 2
        whole = self.end - self.began
        if seconds >= TOO_LONG * whole:
            return 0.0
        return min(at_most, (ENOUGH_FOR_THE_FIRST if is_first else TOO_LONG) * whole)

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
