"""How many weights are left after each round of iterative pruning.

Densities between the first and the last round are computed in decimals, so that every machine
keeps the same count; the last round's density is the target itself, never a rounding of it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

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
