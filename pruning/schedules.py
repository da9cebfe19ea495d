"""How many weights are left after each round of iterative pruning.

Densities between the first and the last round are computed in decimals, so that every machine
keeps the same count; the last round's density is the target itself, never a rounding of it.

A schedule is named ("exponential", "linear") or spelled out as the densities to stop at, "0.5,0.2,0.05": a target is
then reached through those above it, so one list serves a whole sweep of targets.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation, localcontext
from itertools import pairwise

ALL = Decimal(1)
Schedule = Callable[[Decimal, int], list[Decimal]]


def exponential(density: Decimal, num_rounds: int) -> list[Decimal]:
    """Density after round k of n: density^(k/n) (SynFlow, algorithm 1).

    >>> [str(d) for d in exponential(Decimal("0.01"), 2)]
    ['0.1000000000000000000000000000', '0.01']
    """
    with localcontext() as context:
        # Rounded from more digits, so that a step that is a short decimal is exactly that: 0.001^(1/3) is 0.1, and
        # half a weight is half a weight.
        context.prec = 40
        steps = [density ** (Decimal(k) / num_rounds) for k in range(1, num_rounds)]
        context.prec = 28
        return [*(+step for step in steps), density]


def linear(density: Decimal, num_rounds: int) -> list[Decimal]:
    """Density after round k of n: 1 - (1 - density) k / n."""
    with localcontext() as context:
        context.prec = 28
        steps = [1 - (1 - density) * k / num_rounds for k in range(1, num_rounds)]
    return [*steps, density]


SCHEDULES: dict[str, Schedule] = {"exponential": exponential, "linear": linear}
"""Densities after each round, by name."""


def densities_by_round(schedule: str, density: Decimal, num_rounds: int, start: Decimal = ALL) -> list[Decimal]:
    """Density after each round of `schedule`, a name or a list of stops. The last is `density` itself.

    >>> [str(one) for one in densities_by_round("0.5,0.2", Decimal("0.3"), 2)]
    ['0.5', '0.3']

    A named schedule can lead on from a network that is already pruned to `start`.

    >>> [str(one) for one in densities_by_round("linear", Decimal("0.1"), 2, start=Decimal("0.5"))]
    ['0.30', '0.1']

    Raises ValueError for an unknown schedule, for fewer than one round, and where a list has another number of rounds.
    """
    if num_rounds < 1:
        raise ValueError(f"{num_rounds} rounds: expected at least 1")
    if schedule in SCHEDULES and start == 1:
        return SCHEDULES[schedule](density, num_rounds)
    if schedule in SCHEDULES:
        return [*(start * step for step in SCHEDULES[schedule](density / start, num_rounds)[:-1]), density]
    visited = [*stops_above(schedule, density), density]
    if len(visited) != num_rounds:
        raise ValueError(f"schedule {schedule} reaches density {density} in {len(visited)} rounds, not {num_rounds}")
    return visited


def stops_above(schedule: str, density: Decimal) -> list[Decimal]:
    """The stops of a spelled-out schedule on the way to `density`. Raises ValueError for anything else."""
    try:
        stops = [Decimal(one) for one in schedule.split(",")]
    except InvalidOperation:
        names = ", ".join(sorted(SCHEDULES))
        raise ValueError(f"schedule {schedule!r}: expected one of {names}, or densities as in '0.5,0.2'") from None
    if any(not stop.is_finite() or not 0 < stop < 1 for stop in stops) or any(a <= b for a, b in pairwise(stops)):
        raise ValueError(f"schedule {schedule!r}: densities lie between 0 and 1 and fall from round to round")
    return [stop for stop in stops if stop > density]
