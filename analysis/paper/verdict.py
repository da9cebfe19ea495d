"""Does what was measured agree with what was published? The one rule by which every figure is judged.

A point has a verdict by the first of these that applies:

- **not comparable**: something that the number depends on is not as published (data set, model, epochs, a fault of the
  published code), nothing was published in numbers, or there is nothing of ours yet; the cause is said;
- **agrees** or **differs**, by the kind of number:
  - a *law* holds exactly, so ours may be away from it by rounding alone: every seed within its bound;
  - a *place on a grid* (a critical exponent) is known to one step: all of ours within a step of the range of the
    published runs, and all of those within a step of the range of ours. Where many seeds were run, `spread`: the
    published runs inside the range of ours;
  - a *majority*: a seed shows what was published (1) or does not (0), and more than half of ours do;
  - a *mean* scatters from seed to seed: the published mean of m runs lies where our n runs predict it to lie in 99 %
    of all cases, mean +- t(n - 1) s sqrt(1/n + 1/m), give or take half a unit of the last digit that was published.
    Fewer than three runs of ours predict nothing: not comparable. (Of two, t(1) is 63.7: nearly all would agree.)

Laws, places on a grid and majorities are judged from one seed on: none is a mean.

99 %, because a figure has dozens of points and one in twenty would differ by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import polars as pl
from scipy import special

Verdict = Literal["agrees", "differs", "not comparable"]

CONFIDENCE = 0.99
NOTHING_OF_OURS = "no result here yet"
NOTHING_OF_THEIRS = "no number was published"
FEWEST_RUNS = 3
"""Of ours, from which a mean is predicted."""
TOO_FEW_RUNS = f"fewer than {FEWEST_RUNS} seeds predict nothing"

SCHEMA = {
    "figure": pl.String, "point": pl.String, "measure": pl.String,
    "ours": pl.Float64, "ours_low": pl.Float64, "ours_high": pl.Float64, "seeds": pl.Int64,
    "theirs": pl.Float64, "theirs_low": pl.Float64, "theirs_high": pl.Float64, "runs": pl.Int64,
    "difference": pl.Float64, "verdict": pl.String, "cause": pl.String, "scale": pl.String,
}  # fmt: skip
"""Columns of an agreement table. `ours` and `theirs` are means with their range; `scale` is that of ours."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a number is compared."""

    kind: Literal["law", "grid", "spread", "majority", "mean"]
    tolerance: float = 0.0
    """A law's bound, a grid's step, or half a unit of a mean's last published digit."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One number of a figure, ours beside theirs."""

    figure: str
    point: str
    """Which of the figure's points, in words."""
    measure: str
    """What the number is, with its unit."""
    rule: Rule
    ours: tuple[float, ...]
    """A value a seed."""
    theirs: tuple[float, ...] = ()
    """A value a published run; of a law the value that it demands."""
    cause: str = ""
    """Why the two cannot be compared; "" where they can."""

    def judged(self) -> tuple[Verdict, str]:
        """The verdict, and why nothing could be compared where that is it."""
        cause = self.cause or self._missing()
        if cause:
            return "not comparable", cause
        return ("agrees" if agree(self.ours, self.theirs, self.rule) else "differs"), ""

    def _missing(self) -> str:
        if not self.ours:
            return NOTHING_OF_OURS
        if not self.theirs:
            return NOTHING_OF_THEIRS
        return TOO_FEW_RUNS if self.rule.kind == "mean" and len(self.ours) < FEWEST_RUNS else ""


def agree(ours: Sequence[float], theirs: Sequence[float], rule: Rule) -> bool:
    """Whether values of ours agree with published ones (the module's docstring); neither may be empty."""
    if rule.kind == "law":
        return all(abs(one - theirs[0]) <= rule.tolerance for one in ours)
    if rule.kind == "majority":
        return 2 * sum(one == theirs[0] for one in ours) > len(ours)
    if rule.kind == "spread":
        return min(ours) <= min(theirs) and max(theirs) <= max(ours)
    if rule.kind == "grid":
        step = rule.tolerance + 1e-9
        return all(
            min(others) - step <= one <= max(others) + step
            for some, others in ((ours, theirs), (theirs, ours))
            for one in some
        )
    return abs(fmean(ours) - fmean(theirs)) <= predicted_distance(ours, len(theirs)) + rule.tolerance


def predicted_distance(ours: Sequence[float], num_theirs: int) -> float:
    """How far the mean of `num_theirs` further runs may lie from the mean of ours, in 99 % of cases."""
    n = len(ours)
    quantile = float(special.stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    return quantile * stdev(ours) * math.sqrt(1 / n + 1 / num_theirs)


def agreement(points: Iterable[Point], *, scale: str = "full") -> pl.DataFrame:
    """Points as rows of `SCHEMA`, in order: first those that have a result of ours."""
    ours_first = sorted(points, key=lambda point: not point.ours)
    return pl.DataFrame([_row(point, scale) for point in ours_first], schema=SCHEMA)


def _row(point: Point, scale: str) -> dict[str, object]:
    verdict, cause = point.judged()
    ours, theirs = _summary(point.ours), _summary(point.theirs)
    return {
        "figure": point.figure,
        "point": point.point,
        "measure": point.measure,
        **dict(zip(("ours", "ours_low", "ours_high"), ours, strict=True)),
        "seeds": len(point.ours),
        **dict(zip(("theirs", "theirs_low", "theirs_high"), theirs, strict=True)),
        "runs": len(point.theirs),
        "difference": None if ours[0] is None or theirs[0] is None else ours[0] - theirs[0],
        "verdict": verdict,
        "cause": cause or None,
        "scale": scale,
    }


def _summary(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    return (fmean(values), min(values), max(values)) if values else (None, None, None)
