"""Trials that are trained side by side: as many at a time as pay off, each with its own records and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from training.fusion.grouping import Candidate, Paces, groups_of
from training.fusion.together import Together
from training.snapshots import Interrupted


class Diverged(Exception):
    """A network's numbers are no longer finite. Where kernels multiply padding by them, others' are not either."""


def train_side_by_side(candidates: Sequence[Candidate], paces: Paces) -> list[Candidate]:
    """Train to the end of their stretches those that fit together; the others are left where they stand.

    What a group takes is charged to its trials in equal parts. Returns those beside whom something raised or diverged:
    how far they got is not known, and whose fault it is shows when each is begun again by itself.
    """
    spoilt: list[Candidate] = []
    for group in groups_of([one for one in candidates if one.training.step < one.stop_step], paces):
        try:
            if len(group) > 1:
                _train(group)
        except (Exception, SystemExit):
            spoilt += group
    return spoilt


def _train(group: Sequence[Candidate]) -> None:
    together = Together([one.training for one in group], [one.reading for one in group])
    charged = time.perf_counter()

    def hand_back() -> None:
        nonlocal charged
        together.hand_back()
        now = time.perf_counter()
        for one in group:
            one.journey.charge((now - charged) / len(group))
        charged = now

    def save_if_due() -> None:
        if group[0].journey.is_save_due():
            hand_back()
            _check_finite([one.training.seen[0] for one in group])
            _save(group)

    def after_step() -> None:
        if together.step % group[0].training.steps_per_epoch:  # an epoch's last step is followed by its records
            save_if_due()

    for one in group:
        one.journey.trains_beside(len(group))
    for records in together.run(group[0].stop_step, after_step):
        _check_finite([loss for one in records for loss in (one.train_loss, one.test_loss)])
        for one, record in zip(group, records, strict=True):
            one.journey.epochs.append(record)
        save_if_due()
    hand_back()


def _check_finite(losses: Sequence[float]) -> None:
    """Raise Diverged. What one network's numbers have done to another's shows in its loss."""
    if not all(map(math.isfinite, losses)):
        raise Diverged


def _save(group: Sequence[Candidate]) -> None:
    """A checkpoint of every trial, also where the process is asked to leave with the first."""
    asked: Interrupted | None = None
    for one in group:
        try:
            one.journey.save()
        except Interrupted as interrupted:
            asked = interrupted
    if asked:
        raise asked
