"""Intervals of a mean by drawing runs again: for accuracies that do not scatter normally, as where some collapse.

The bias-corrected and accelerated interval of Efron (1987). With few runs the resamples are few and repeat themselves,
and the interval is too narrow: below ten runs it is refused.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

CONFIDENCE = 0.95
FEWEST = 10
NUM_RESAMPLES = 4000
SEED = 20_060_546
"""Of the draws, so that the same runs always have the same interval."""


def interval(values: npt.ArrayLike) -> tuple[float, float]:
    """The 95 % interval of the mean. Raises ValueError for fewer than ten values or one that is not finite."""
    drawn_from = np.sort(np.asarray(values, dtype=np.float64))  # the order of runs says nothing
    if reason := refusal(len(drawn_from)):
        raise ValueError(reason)
    if not np.isfinite(drawn_from).all():
        raise ValueError("expected finite values: leave out runs without one, and count them")
    mean, n = drawn_from.mean(), len(drawn_from)
    if np.ptp(drawn_from) == 0:
        return float(mean), float(mean)
    draws = np.random.default_rng(SEED).integers(n, size=(NUM_RESAMPLES, n))
    means = np.sort(drawn_from[draws].mean(axis=1))
    below = (np.searchsorted(means, mean, "left") + np.searchsorted(means, mean, "right")) / 2 / NUM_RESAMPLES
    bias = special.ndtri(below)
    # of the mean, the jackknife's acceleration is the skewness of the values over 6 root n
    off = mean - drawn_from
    acceleration = -(off**3).sum() / (6 * (off**2).sum() ** 1.5)
    tails = special.ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]) + bias
    low, high = np.quantile(means, special.ndtr(bias + tails / (1 - acceleration * tails)))
    return float(low), float(high)


def refusal(n: int) -> str | None:
    """Why there is no interval of `n` values; None where there is one."""
    if n >= FEWEST:
        return None
    return (
        f"a bootstrap interval takes at least {FEWEST} runs, and there {'is' if n == 1 else 'are'} {n}: use Student's t"
    )


def intervals(values: pl.Expr) -> pl.Expr:
    """Structs of `interval_low`, `interval_high` and `interval_refused` (why both are null) of a column of lists."""
    kinds = {"interval_low": pl.Float64, "interval_high": pl.Float64, "interval_refused": pl.String}

    def of(lists: pl.Series) -> pl.Series:
        rows = []
        for one in lists:
            reason = refusal(len(one))
            rows.append((None, None, reason) if reason else (*interval(one.to_numpy()), None))
        return pl.Series([dict(zip(kinds, row, strict=True)) for row in rows], dtype=pl.Struct(kinds))

    return values.map_batches(of, return_dtype=pl.Struct(kinds))
