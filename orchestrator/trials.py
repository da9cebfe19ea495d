"""Trials to run, as a table: a trial is an object only while somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestrator.parts import PARTS, Parts
from training.config import TrialConfig

ROWS_AT_A_TIME = 10_000


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A trial to run, and which attempt at it this would be."""

    trial_id: str
    attempt: int
    config: TrialConfig


class Trials(Sequence[PlannedTrial]):
    """A sequence of planned trials over columns: trial_id, attempt, and the numbers of their parts."""

    def __init__(self, frame: pl.DataFrame, parts: Parts) -> None:
        self.frame, self.parts = frame, parts

    @classmethod
    def of(cls, trials: Iterable[PlannedTrial]) -> Trials:
        """The same trials in columns."""
        parts = Parts()
        rows = [{"trial_id": one.trial_id, "attempt": one.attempt} | parts.numbers(one.config) for one in trials]
        schema = {"trial_id": pl.String, "attempt": pl.Int64} | dict.fromkeys(PARTS, pl.UInt32)
        return cls(pl.DataFrame(rows, schema=schema), parts)

    def take(self, order: NDArray[np.int64]) -> Trials:
        """The trials at these places."""
        return Trials(self.frame[order], self.parts)

    def __len__(self) -> int:
        return self.frame.height

    @overload
    def __getitem__(self, index: int) -> PlannedTrial: ...
    @overload
    def __getitem__(self, index: slice) -> Trials: ...
    def __getitem__(self, index: int | slice) -> PlannedTrial | Trials:
        if isinstance(index, slice):
            return Trials(self.frame[index], self.parts)
        row = self.frame.row(index, named=True)
        return PlannedTrial(trial_id=row["trial_id"], attempt=row["attempt"], config=self.parts.config(row))

    def __iter__(self) -> Iterator[PlannedTrial]:
        for part in self.frame.iter_slices(ROWS_AT_A_TIME):
            for row in part.iter_rows(named=True):
                config = self.parts.config(row)
                yield PlannedTrial(trial_id=row["trial_id"], attempt=row["attempt"], config=config)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # a sequence that compares by content, like a list
