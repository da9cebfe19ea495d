"""Which trials the next free slot gets: cohorts cut from the plan as they are asked for, long trials first.

A cohort is a range of neighbouring rows of the plan, of one data set and model. Its size is decided when a slot asks,
from what trials are thought to cost (`cost.py`) by then: an eighth of a slot's share of the work, at most five minutes,
and towards the end half of what is left over all slots, again and again (factoring: Hummel, Schonberg and Flynn 1992),
so that the last cohorts take seconds and no slot idles while another holds a long queue. A network that was never
measured starts with a few trials, whatever they are thought to cost; a cohort that takes twice as long as it should
gives back the trials it has not begun. Trials that share levels of training stay together (`sharing.py`). Where a run
has to be over by some time (`deadline.py`), what would not end by then is passed over, and shorter trials come first.

None of this changes a result, and nothing here outlives a run: what is left is planned minus committed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.cohort import Cohort, Progress
from orchestrator.cost import CostModel, Estimate
from orchestrator.deadline import Deadline
from orchestrator.sharing import in_sharing_order, sharing_starts
from orchestrator.trials import Trials
from training.config import LOOKS_AHEAD

COHORTS_PER_SLOT = 8
"""At least, where there is work for so many."""
LONGEST_COHORT_SECONDS = 300.0
SHORTEST_COHORT_SECONDS = 2.0
"""Handing out a cohort costs about 0.05 s."""
LARGEST_COHORT = 500
"""Trials; more only where they share levels of training. After a crash each of them is committed alone."""
FIRST_COHORT = 4
"""Trials of a network that was never measured, until some are."""
PATIENCE = 2.0
"""Times its expected seconds that a cohort may take before it gives back what it has not begun."""


def in_running_order(trials: Trials, costs: CostModel, *, fuses: bool = False) -> Trials:
    """The trials in the order in which they are handed out, those that share anything side by side.

    Neighbours of one seed, pruner and recipe share scores, so they move as one; with `fuses`, those that differ in
    seeds alone, whose networks are trained side by side. Groups go by their longest trial, to within a factor of two,
    and otherwise stay where they were.
    """
    trials = in_sharing_order(trials)
    if not len(trials):
        return trials
    moves_as_one = ("dataset", "model", "pruner", "training", "levels", "density" if fuses else "seeds")
    if fuses:
        trials = _gathered(trials, moves_as_one)
    shares_training = ~sharing_starts(trials)[0]
    begins = _changes(trials, *moves_as_one) & ~shares_training
    longest = np.maximum.reduceat(costs.predict_all(trials), np.flatnonzero(begins))
    scale = np.floor(np.log2(longest))[np.cumsum(begins) - 1]
    return trials.take(np.argsort(-scale, kind="stable"))


class Schedule:
    """Hands out every trial of a run once, in cohorts, and keeps account of what is done."""

    def __init__(
        self,
        trials: Trials,
        costs: CostModel,
        *,
        location: str,
        run_id: str,
        deadline: Deadline | None = None,
        fuses: bool = False,
        clock: Callable[[], float] = time.monotonic,
        seconds_between_predictions: float = 1.0,
    ) -> None:
        """`trials` are the rows of the run's plan file, in running order; with `fuses` they train side by side."""
        self.trials, self.costs = trials, costs
        self._clock, self._seconds_between_predictions = clock, seconds_between_predictions
        self._location, self._run_id, self._deadline = location, run_id, deadline
        self._begins_network = _changes(trials, "dataset", "model")
        self._begins_dense, self._begins_levels = sharing_starts(trials)
        self._may_give_back = not any(levels.pre_epochs for levels in trials.parts.of["levels"])
        self._num_running = 0
        self._waiting = [(0, len(trials))] if len(trials) else []
        """Ranges of rows that no cohort has; the last is handed out next."""
        self._together = LOOKS_AHEAD if fuses else 1
        """Trials that a cohort has at least, where there are enough for all slots."""
        self._is_done = np.zeros(len(trials), bool)
        self._num_cohorts = 0
        self._sums: NDArray[np.float64] = np.zeros(len(trials) + 1)
        """Predicted seconds of the first n trials."""
        self._predicted_at, self._predicted_from = -math.inf, 1

    def next_cohort(self, slots: int) -> Cohort | None:
        """The next cohort, where `slots` of them run at a time; None where every trial is handed out or passed over."""
        if not self._waiting:
            return None
        self._predict()
        target = self._target_seconds(slots)
        while True:
            if not self._waiting:
                return None
            start, end = self._waiting.pop()
            stop = self._stop(start, end, target, self._at_least(end - start, slots))
            if stop < end:
                self._waiting.append((stop, end))
            needed = self._needed_seconds(start, stop, slots)
            if self._deadline is None or self._deadline.has_time(time.time(), needed):
                break
        self._num_cohorts += 1
        self._num_running += 1
        expected = max(target, float(self._sums[stop] - self._sums[start]))
        return Cohort(
            location=self._location,
            run_id=self._run_id,
            number=self._num_cohorts - 1,
            start=start,
            stop=stop,
            patience_seconds=PATIENCE * expected if self._may_give_back else None,
            needed_seconds=needed,
        )

    def observe(self, progress: Progress) -> None:
        """Learn from trials that were committed, and take back what a cohort has not begun."""
        for row, seconds in progress.seconds.items():
            self._is_done[row] = True
            if row not in progress.errors:
                self.costs.observe(self.trials[row].config, seconds)
            if self._deadline:
                self._deadline.saw(seconds)
        if progress.given_back is not None:
            self._waiting.append(progress.given_back)

    def cohort_ended(self) -> None:
        """One of the cohorts that were handed out is finished, or was given up."""
        self._num_running -= 1

    @property
    def is_finished(self) -> bool:
        """Whether no cohort is to come: all are handed out, and none of them can give anything back."""
        return not self._waiting and not self._num_running

    def left(self) -> Estimate:
        """Seconds of slots that the trials not yet committed are expected to take."""
        return self.costs.estimate(self.trials.take(np.flatnonzero(~self._is_done)))

    def _predict(self) -> None:
        is_recent = self._clock() - self._predicted_at < self._seconds_between_predictions
        if is_recent and self.costs.num_observed < 2 * self._predicted_from:  # the first measurements say most
            return
        np.cumsum(self.costs.predict_all(self.trials), out=self._sums[1:])
        self._predicted_at, self._predicted_from = self._clock(), max(1, self.costs.num_observed)

    def _target_seconds(self, slots: int) -> float:
        waiting = sum(float(self._sums[stop] - self._sums[start]) for start, stop in self._waiting)
        share = min(float(self._sums[-1]) / (COHORTS_PER_SLOT * slots), waiting / (2 * slots))
        if self._deadline:
            share = min(share, self._deadline.end - time.time())
        return min(LONGEST_COHORT_SECONDS, max(SHORTEST_COHORT_SECONDS, share))

    def _needed_seconds(self, start: int, stop: int, slots: int) -> float:
        """Time that has to be left before the deadline for each trial of a cohort to be begun."""
        if self._deadline is None:
            return 0.0
        longest = self.costs.longest(self.trials[start:stop])
        return self._deadline.needed_seconds(longest, is_first=self._num_cohorts < slots)

    def _at_least(self, num_next: int, slots: int) -> int:
        """Trials that the next cohort should have, be they long or short."""
        waiting = num_next + sum(stop - start for start, stop in self._waiting)
        return max(1, min(self._together, waiting // slots))

    def _stop(self, start: int, end: int, target: float, at_least: int) -> int:
        """Where a cohort of about `target` seconds that begins at `start` ends: never within shared levels."""
        end = min(end, _next(self._begins_network, start, end))
        is_known = self.costs.knows(self.trials[start].config)
        largest = min(LARGEST_COHORT if is_known else FIRST_COHORT, end - start)
        within = np.searchsorted(self._sums[start + 1 : start + largest + 1], self._sums[start] + target, side="right")
        stop = min(end, start + max(at_least, int(within)))
        if stop == end:
            return end
        for begins in (self._begins_dense, self._begins_levels):
            if (places := np.flatnonzero(begins[start + 1 : stop + 1])).size:
                return start + 1 + int(places[-1])
        return _next(self._begins_levels, stop, end)


def _gathered(trials: Trials, parts: Sequence[str]) -> Trials:
    """Those that agree in `parts` side by side, where the first of them was; pruned after training, where they were."""
    levels = trials.parts.of["levels"]
    trains_first = np.array([bool(one.pre_epochs) for one in levels], bool)[trials.frame["levels"].to_numpy()]
    _, first, number = np.unique(trials.frame.select(parts).to_numpy(), axis=0, return_index=True, return_inverse=True)
    places = np.where(trains_first, np.arange(len(trials)), first[number.reshape(-1)])
    return trials.take(np.argsort(places, kind="stable"))


def cohorts_of(schedule: Schedule, slots: int) -> Iterator[Cohort]:
    """Every cohort of a schedule, as if none had been run."""
    while cohort := schedule.next_cohort(slots):
        yield cohort


def _changes(trials: Trials, *parts: str) -> NDArray[np.bool_]:
    """Where a trial differs from the one before it in one of these parts."""
    numbers = trials.frame.select(parts).to_numpy()
    return np.append(True, np.any(numbers[1:] != numbers[:-1], axis=1))[: len(trials)]


def _next(begins: NDArray[np.bool_], start: int, end: int) -> int:
    """The first place after `start` and before `end` where something begins; else `end`."""
    place = int(np.argmax(begins[start + 1 : end])) if end > start + 1 else 0
    return start + 1 + place if end > start + 1 and begins[start + 1 + place] else end
