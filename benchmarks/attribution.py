"""Which part of a grid's speed-up comes from what: sums over its points, one thing switched on after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.phases import PHASES

Seconds = dict[str, float]
"""Of processor time, by phase."""

RESCORING = "synflow"
"""Scores anew for every density; the other pruners of the grid score once for all of them."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of the grid, and what its trial took in each way."""

    pruner: str
    exponent: float
    seed: int
    trial_id: str
    """Points that fold into one trial share it."""
    careful: Seconds
    reference: Seconds
    """The product's, with masked dense training."""
    compact: Seconds
    collapsed: bool
    """Whether no path of kept weights leads from input to output."""
    same_kept: bool
    """Whether careful user and product kept equally many weights."""
    accuracies: tuple[float, float]
    """Final, on test images: the careful user's and ours."""


def attribution(points: list[Point], processes: int) -> dict[str, Any]:
    """Trials per hour of both, and a ladder between them, each rung with its seconds and factor.

    Phases add up in a process with one thread, so a rung replaces one phase's seconds. "Alone" are the seconds of
    the product's reference engine if every point ran for itself: a folded point counts its trial's seconds again,
    and each point of a one-shot pruner the scoring that one trial of its cohorts did for all.
    """
    trials = {one.trial_id: one for one in points}.values()
    careful = _sum(one.careful for one in points)
    alone = _sum(one.reference | {"scoring": _scoring_alone(one, points)} for one in points)
    reference, compact = _sum(one.reference for one in trials), _sum(one.compact for one in trials)
    saved = sum(
        sum(one.reference[p] - one.compact[p] for p in PHASES if p != "scoring") for one in trials if one.collapsed
    )
    ladder = [("careful user", sum(careful.values()))]
    mixed = dict(careful)
    for phase, part in (
        ("batches", "augmentation: batches of bytes instead of PIL"),
        ("evaluation", "evaluation: batches, masks not multiplied"),
        ("steps and rest", "masks after the step instead of in the forward pass"),
        ("scoring", "scoring: all of SynFlow's rounds at once"),
    ):
        mixed[phase] = alone[phase]
        ladder.append((part, sum(mixed.values())))
    total = sum(reference.values())
    ladder.append(("folding of equal trials, shared scores", total))
    ladder.append(("compaction of collapsed networks", total - saved))
    ladder.append(("compaction of the others", sum(compact.values())))
    before = [ladder[0][1]] + [seconds for _, seconds in ladder[:-1]]
    first, last = ladder[0][1], ladder[-1][1]
    return {
        "trials_per_hour": {
            "careful": len(points) * 3600 * processes / first,
            "product": len(points) * 3600 * processes / last,
        },
        "times_faster": first / last,
        "parts": [
            {"part": part, "seconds": seconds, "times_faster": earlier / seconds}
            for (part, seconds), earlier in zip(ladder, before, strict=True)
        ],
        "phases": {
            phase: {"careful": careful[phase], "reference": reference[phase], "compact": compact[phase]}
            for phase in PHASES
        },
    }


def _sum(parts: Iterable[Seconds]) -> Seconds:
    total = dict.fromkeys(PHASES, 0.0)
    for seconds in parts:
        for phase in PHASES:
            total[phase] += seconds[phase]
    return total


def _scoring_alone(point: Point, points: list[Point]) -> float:
    if point.pruner == RESCORING or point.exponent == 0:
        return point.reference["scoring"]
    sharing = (one for one in points if (one.pruner, one.seed) == (point.pruner, point.seed) and one.exponent > 0)
    return max(one.reference["scoring"] for one in sharing)
