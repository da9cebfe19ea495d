"""What is known of a run while it goes on: counts by axis, errors, pace, what is left. Nothing is shown here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.axis_values import AXES, axis_value
from orchestrator.cohort import Progress
from orchestrator.cost import Estimate
from orchestrator.trials import Trials

ERRORS_KEPT = 100
"""Different ones; those that come later are counted together."""
OTHER_ERRORS = "other errors"


@dataclass
class AxisCounts:
    """How many trials there are of each value of an axis, and how many are committed or failed."""

    labels: list[str]
    codes: NDArray[np.int64]
    """Of each trial of the run, in the plan's order."""
    done: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.totals = np.bincount(self.codes, minlength=len(self.labels))
        self.done = np.zeros_like(self.totals)

    @classmethod
    def of(cls, trials: Trials, axis: str) -> AxisCounts:
        """Nothing done yet."""
        names = AXES[axis]
        values = trials.frame.select(names).unique(maintain_order=True).with_row_index("code")
        codes = trials.frame.select(names).join(values, on=names, how="left", maintain_order="left")["code"]
        labels = [axis_value(axis, trials.parts, numbers) for numbers in values.select(names).iter_rows()]
        return cls(labels=labels, codes=codes.to_numpy().astype(np.int64))


class RunState:
    """Counts that grow as cohorts report."""

    def __init__(
        self, trials: Trials, left: Callable[[], Estimate], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`left` says what the trials not yet committed are expected to take (`Schedule.left`)."""
        self.total = len(trials)
        self.completed = self.failed = self.collapsed = self.running = 0
        self.slots = 1
        self.busy_seconds = 0.0
        self.errors: Counter[str] = Counter()
        self.axes = {axis: AxisCounts.of(trials, axis) for axis in AXES}
        self._left, self._clock = left, clock
        self._began_at: float | None = None

    def advance(self, progress: Progress) -> None:
        """Some trials were committed."""
        self.completed += progress.completed
        self.failed += progress.failed
        self.collapsed += progress.collapsed
        self.busy_seconds += sum(progress.seconds.values())
        for axis in self.axes.values():
            axis.done += np.bincount(axis.codes[list(progress.seconds)], minlength=len(axis.labels))
        for error in progress.errors.values():
            self.errors[error if error in self.errors or len(self.errors) < ERRORS_KEPT else OTHER_ERRORS] += 1

    def set_running(self, num_cohorts: int) -> None:
        """So many cohorts are at work; the first of them starts the clock: until then Ray was starting."""
        self.running = num_cohorts
        self.slots = max(self.slots, num_cohorts)
        if self._began_at is None and num_cohorts:
            self._began_at = self._clock()

    @property
    def done(self) -> int:
        """Trials committed, failed ones too."""
        return self.completed + self.failed

    @property
    def seconds(self) -> float:
        """Since the first cohort began."""
        return 0.0 if self._began_at is None else self._clock() - self._began_at

    @property
    def trials_per_second(self) -> float:
        """Since the first cohort began."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def utilisation(self) -> float:
        """Share of the slots' time since then that went into committed trials; those under way are not in it yet."""
        return self.busy_seconds / (self.seconds * self.slots) if self.seconds else 0.0

    def time_left(self) -> Estimate:
        """Seconds until the last trial is committed, with an interval of 90 %."""
        left = self._left()
        slots = max(1, min(self.slots, self.total - self.done))
        return Estimate(seconds=left.seconds / slots, low=left.low / slots, high=left.high / slots)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "trials": self.total,
            "completed": self.completed,
            "failed": self.failed,
            "collapsed": self.collapsed,
            "running_cohorts": self.running,
            "seconds": round(self.seconds, 3),
            "trials_per_second": round(self.trials_per_second, 3),
            "utilisation": round(self.utilisation, 3),
            "seconds_left": asdict(self.time_left()),
            "errors": dict(self.errors.most_common()),
            "axes": {
                name: {
                    label: {"done": int(done), "trials": int(total)}
                    for label, done, total in zip(axis.labels, axis.done, axis.totals, strict=True)
                }
                for name, axis in self.axes.items()
            },
        }
