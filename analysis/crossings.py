"""At which density do two curves change places?

A crossing is reported where one curve is ahead at some density and the other at a sparser one, both after correction
(`comparisons`): curves that merely touch do not cross. Between grid points each seed's difference is taken to be linear
in log density; the crossing is where their mean is zero. Its 95 % interval is Fieller's: all densities around it at
which a paired t-test would not tell the two curves apart, so it covers the true crossing as often as the t-test is
right, for five seeds as for five hundred (a bootstrap of five seeds would not).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from analysis.accuracy import CONFIDENCE
from analysis.labels import PANEL

_SCHEMA = {
    **dict.fromkeys(PANEL, pl.String),
    "curve": pl.String,
    "other_curve": pl.String,
    "density_before": pl.Float64,
    "density": pl.Float64,
    "density_after": pl.Float64,
    "interval_dense": pl.Float64,
    "interval_sparse": pl.Float64,
    "lead_before": pl.Float64,
    "lead_after": pl.Float64,
    "n": pl.Int64,
}


def table(comparisons: pl.DataFrame) -> pl.DataFrame:
    """Crossings of a collected `comparisons.table`, by panel, largest later lead first; none below five pairs.

    `curve` overtakes `other_curve`, which is ahead at `density_before`: at the sparser `density_after`, `curve` is. The
    mean differences there are `lead_before` and `lead_after` (fractions, positive); they cross at `density`, between
    `interval_dense` and `interval_sparse` (null where the grid ends first). `n` is the smallest number of pairs in
    between.
    """
    pair = [*PANEL, "curve", "other_curve"]
    is_followed = pl.col("standard_error").shift(-1).over(pair).is_not_null()
    candidates = (
        comparisons.with_columns(next_covariance=pl.when(is_followed).then("next_covariance"))
        .filter(pl.col("standard_error").is_not_null())
        .filter(((pl.col("ahead") == 1).any() & (pl.col("ahead") == -1).any()).over(pair))
        .sort(*pair, "density", descending=[False] * len(pair) + [True])
    )
    found = [
        dict(zip(pair, names, strict=True)) | crossing
        for names, rows in candidates.partition_by(pair, as_dict=True, maintain_order=True).items()
        for crossing in _Difference.of(rows).crossings()
    ]
    return (
        pl.DataFrame([_named(crossing) for crossing in found], schema=_SCHEMA)
        .sort(*PANEL, "lead_after", descending=[False] * len(PANEL) + [True])
    )  # fmt: skip


def _named(crossing: dict[str, Any]) -> dict[str, Any]:
    """Who overtakes whom, instead of the sign of a difference."""
    first, second = crossing["curve"], crossing["other_curve"]
    after, before = (second, first) if crossing["sign"] > 0 else (first, second)
    return crossing | {"curve": after, "other_curve": before}


@dataclass(frozen=True)
class _Difference:
    """Mean difference of two curves, piecewise linear in x = -log density, with the variance of the mean."""

    x: Sequence[float]
    mean: Sequence[float]
    variance: Sequence[float]
    covariance: Sequence[float]
    """Of each mean with the next."""
    n: Sequence[int]
    ahead: Sequence[int]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> _Difference:
        variance = (rows["standard_error"] ** 2).to_list()
        # unknown only if the two densities share no seeds: the largest there can be gives the widest interval
        largest = [math.sqrt(one * other) for one, other in zip(variance, [*variance[1:], 0.0], strict=True)]
        covariance = [
            bound if known is None else known
            for known, bound in zip(rows["next_covariance"].to_list(), largest, strict=True)
        ]
        return cls(
            x=(-rows["density"].log()).to_list(),
            mean=rows["mean_difference"].to_list(),
            variance=variance,
            covariance=covariance,
            n=rows["n"].to_list(),
            ahead=rows["ahead"].to_list(),
        )

    def crossings(self) -> Iterator[dict[str, Any]]:
        """Every change from one leader to the other, from dense to sparse."""
        led = [place for place, sign in enumerate(self.ahead) if sign]
        for before, after in pairwise(led):
            if self.ahead[before] == self.ahead[after]:
                continue
            n = min(self.n[before : after + 1])
            segment, share = self._zero(before, after)
            squared_t = special.stdtrit(n - 1, 0.5 + CONFIDENCE / 2) ** 2
            yield {
                "sign": self.ahead[before],
                "density_before": math.exp(-self.x[before]),
                "density": self._density(segment, share),
                "density_after": math.exp(-self.x[after]),
                "interval_dense": self._towards_dense(segment, share, squared_t),
                "interval_sparse": self._towards_sparse(segment, share, squared_t),
                "lead_before": abs(self.mean[before]),
                "lead_after": abs(self.mean[after]),
                "n": n,
            }

    def _zero(self, before: int, after: int) -> tuple[int, float]:
        """Segment, and share of it, where the mean is zero; of several such places the middle one."""
        zeros = []
        for segment in range(before, after):
            here, there = self.mean[segment], self.mean[segment + 1]
            if here * there < 0 or there == 0:
                zeros.append((segment, here / (here - there) if here != there else 1.0))
        return zeros[len(zeros) // 2]

    def _towards_dense(self, segment: int, share: float, squared_t: float) -> float | None:
        """The nearest density above the crossing at which the t-test tells the curves apart."""
        for place in range(segment, -1, -1):
            inside = [root for root in self._borders(place, squared_t) if root <= (share if place == segment else 1.0)]
            if inside:
                return self._density(place, max(inside))
        return None

    def _towards_sparse(self, segment: int, share: float, squared_t: float) -> float | None:
        for place in range(segment, len(self.x) - 1):
            inside = [root for root in self._borders(place, squared_t) if root >= (share if place == segment else 0.0)]
            if inside:
                return self._density(place, min(inside))
        return None

    def _borders(self, place: int, squared_t: float) -> list[float]:
        """Shares s of a segment with mean(s)^2 = t^2 variance(s): a quadratic in s."""
        mean, rise = self.mean[place], self.mean[place + 1] - self.mean[place]
        one, other, both = self.variance[place], self.variance[place + 1], self.covariance[place]
        roots = np.roots(
            [
                rise**2 - squared_t * (one + other - 2 * both),
                2 * mean * rise - squared_t * 2 * (both - one),
                mean**2 - squared_t * one,
            ]
        )
        return [float(root.real) for root in roots if root.imag == 0 and 0 <= root.real <= 1]

    def _density(self, segment: int, share: float) -> float:
        return math.exp(-((1 - share) * self.x[segment] + share * self.x[segment + 1]))
