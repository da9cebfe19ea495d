"""A straight line through values of which only intervals are known: maximum likelihood with normal scatter.

    y = level + slope (x - centre) + scatter * e        e standard normal, y in (low, high]

An end may be infinite: then the value is censored there. In slope / scatter, level / scatter and 1 / scatter the
log-likelihood is concave (Burridge 1981), so Newton's method finds its maximum from anywhere. Intervals of slope and
level are those of the likelihood ratio with the other constants at their best, because intervals from curvature fail
where a whole range of lines passes through every interval. The ratio is compared with n log(1 + t^2 / (n - 2)), n being
the number of values bounded on both sides and t Student's: exact where the intervals shrink to points, for then it is
the t interval of least squares.

Where all values at an x share one interval, no scatter explains them best; a fiftieth of the median interval is the
finest that is looked for. Then every line through the intervals is as good, and the one nearest their middles is given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
FINEST = 1 / 50
"""Of the median interval: the smallest scatter."""
FEWEST_PLACES = 3
"""Different x with a value bounded on both sides: through two any line fits."""
MOST_STEPS = 200
FARTHEST = 60
"""Doublings of a step in search of an interval's end."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A fitted line with 95 % intervals; an end that is not found is infinite."""

    centre: float
    """Mean x of the values bounded on both sides."""
    slope: float
    slope_low: float
    slope_high: float
    level: float
    """Of the line at `centre`."""
    level_low: float
    level_high: float
    scatter: float
    """Standard deviation around the line."""


def num_places(x: Array, low: Array, high: Array) -> int:
    """How many different x have a value that is bounded on both sides."""
    return len(np.unique(x[np.isfinite(low) & np.isfinite(high)]))


def fit(x: Array, low: Array, high: Array, count: Array) -> Line:
    """The line through values in (low, high] at x, each of them `count` times.

    Raises ValueError where fewer than `FEWEST_PLACES` different x have a value bounded on both sides.
    """
    bounded = np.isfinite(low) & np.isfinite(high)
    if num_places(x, low, high) < FEWEST_PLACES:
        raise ValueError(f"expected values bounded on both sides at {FEWEST_PLACES} or more different x")
    num_bounded = float(count[bounded].sum())
    centre = float(np.average(x[bounded], weights=count[bounded]))
    ahead = x - centre
    finest = FINEST * float(np.median(np.repeat((high - low)[bounded], count[bounded].astype(int))))
    # scale x and y so that no constant is far from 1
    unit = float(np.ptp(x[bounded])) / 2
    problem = _Problem(ahead / unit, low / finest, high / finest, count)
    middle = (low + high)[bounded] / 2 / finest
    start = np.polyfit(ahead[bounded] / unit, middle, 1, w=np.sqrt(count[bounded]))
    off = middle - np.polyval(start, ahead[bounded] / unit)
    spread = math.sqrt(float(np.average(off**2, weights=count[bounded])))
    slope, level, tau, best = problem.free(float(start[0]), float(start[1]), 1 / max(1.0, spread))
    t = float(special.stdtrit(num_bounded - 2, 0.5 + CONFIDENCE / 2))
    drop = num_bounded * math.log1p(t**2 / (num_bounded - 2)) / 2
    step = t / tau / math.sqrt(num_bounded)

    def ends(likelihood: Callable[[float], float], at: float, scale: float) -> list[float]:
        return [_end(likelihood, at, side * step, best - drop) * scale for side in (-1, 1)]

    slopes = ends(lambda tried: problem.at_slope(tried, level, tau), slope, finest / unit)
    levels = ends(lambda tried: problem.at_level(tried, slope, tau), level, finest)
    return Line(
        centre=centre,
        slope=slope * finest / unit,
        slope_low=slopes[0],
        slope_high=slopes[1],
        level=level * finest,
        level_low=levels[0],
        level_high=levels[1],
        scatter=finest / tau,
    )


def _end(likelihood: Callable[[float], float], at: float, step: float, least: float) -> float:
    """Where the log-likelihood falls to `least`, from its maximum in the direction of `step`; infinite if nowhere."""
    near = at
    for _ in range(FARTHEST):
        far = near + step
        if likelihood(far) < least:
            return float(
                optimize.brentq(lambda place: likelihood(place) - least, near, far, xtol=1e-6 * abs(step), rtol=1e-12)
            )
        near, step = far, 2 * step
    return math.copysign(math.inf, step)


class _Problem:
    """The log-likelihood of lines through given intervals, in units in which the finest scatter is 1."""

    def __init__(self, x: Array, low: Array, high: Array, count: Array) -> None:
        self.x, self.count = x, count
        self.ends = low, high
        self.ones = np.ones_like(x)

    def free(self, slope: float, level: float, tau: float) -> tuple[float, float, float, float]:
        """The best slope, level, 1 / scatter and the log-likelihood there, from a start."""
        theta, value = self._best([self.x, self.ones], np.array([slope, level]), tau, np.zeros_like(self.x))
        return float(theta[0] / theta[-1]), float(theta[1] / theta[-1]), float(theta[-1]), value

    def at_slope(self, slope: float, level: float, tau: float) -> float:
        """The log-likelihood at a slope, everything else at its best, from a start."""
        return self._best([self.ones], np.array([level]), tau, slope * self.x)[1]

    def at_level(self, level: float, slope: float, tau: float) -> float:
        """The log-likelihood at a level, everything else at its best, from a start."""
        return self._best([self.x], np.array([slope]), tau, level * self.ones)[1]

    def _best(self, columns: list[Array], start: Array, tau: float, known: Array) -> tuple[Array, float]:
        """Coefficients of columns, each over scatter, then 1 / scatter in (0, 1]; and the log-likelihood.

        `start` holds coefficients, `tau` is a 1 / scatter to begin with; `known` is the part of the line that is given.
        """
        low, high = (end - known for end in self.ends)
        lines = np.stack(columns, axis=1)
        climb = functools.partial(_climb, functools.partial(_likelihood, low, high, self.count, lines))
        if tau < 1:
            theta, (value, _, _) = climb(np.append(start * tau, tau))
            if theta[-1] <= 1:
                return theta, value
        theta, (value, gradient, _) = climb(np.append(start, 1.0), fixed_scatter=True)
        if gradient[-1] < 0:  # more scatter than the finest is better
            theta, (value, _, _) = climb(theta)
        return theta, value


_Value = tuple[float, Array, Array]


def _climb(likelihood: Callable[[Array], _Value], theta: Array, *, fixed_scatter: bool = False) -> tuple[Array, _Value]:
    """Newton's method with halved steps to the maximum of a concave function, or to where the scatter is too fine."""
    free = slice(0, -1) if fixed_scatter else slice(0, None)
    at = likelihood(theta)
    for _ in range(MOST_STEPS):
        value, gradient, curvature = at
        hessian = -curvature[free, free]
        # flat directions (every line through the intervals is as good) must not make the step infinite
        hessian = hessian + np.eye(len(hessian)) * 1e-12 * max(1e-12, float(np.trace(hessian)))
        step = np.linalg.solve(hessian, gradient[free])
        gain = float(gradient[free] @ step)
        if gain < 1e-9 or theta[-1] > 1:
            break
        # at most to a quarter of 1 / scatter: where intervals are much narrower than the scatter, digits are lost
        shrinking = 0.0 if fixed_scatter else -float(step[-1]) / theta[-1]
        size = min(1.0, 0.75 / shrinking) if shrinking > 0 else 1.0
        while size > 1e-12:
            tried = theta.copy()
            tried[free] += size * step
            if (found := likelihood(tried))[0] >= value + 1e-4 * size * gain:
                break
            size /= 2
        else:
            break
        theta, at = tried, found
    return theta, at


def _likelihood(low: Array, high: Array, count: Array, lines: Array, theta: Array) -> _Value:
    """Log-likelihood at (coefficients / scatter, 1 / scatter), with its gradient and second derivatives."""
    line, tau = lines @ theta[:-1], theta[-1]
    z_low, z_high = tau * low - line, tau * high - line
    log_mass = _log_mass(z_low, z_high)
    designs, ratios, bends = [], [], []
    for z, end in ((z_low, low), (z_high, high)):
        open_end = ~np.isfinite(end)
        finite = np.where(open_end, 0.0, z)
        log_density = np.where(open_end, -np.inf, -(finite**2) / 2 - math.log(math.sqrt(2 * math.pi)))
        ratio = np.exp(log_density - log_mass)
        designs.append(np.column_stack([-lines, np.where(open_end, 0.0, end)]))
        ratios.append(ratio)
        bends.append(finite * ratio)
    (at_low, at_high), (r_low, r_high), (b_low, b_high) = designs, ratios, bends
    gradient = at_high.T @ (count * r_high) - at_low.T @ (count * r_low)
    cross = (at_low * (count * r_low * r_high)[:, None]).T @ at_high
    curvature = (
        (at_high * (count * (-b_high - r_high**2))[:, None]).T @ at_high
        + (at_low * (count * (b_low - r_low**2))[:, None]).T @ at_low
        + cross
        + cross.T
    )
    return float(count @ log_mass), gradient, curvature


def _log_mass(z_low: Array, z_high: Array) -> Array:
    """log(Phi(z_high) - Phi(z_low)), also far out in a tail."""
    flip = z_low > 0
    lower, upper = np.where(flip, -z_high, z_low), np.where(flip, -z_low, z_high)
    log_upper = special.log_ndtr(upper)
    mass: Array = log_upper + np.log1p(-np.exp(special.log_ndtr(lower) - log_upper))
    return mass
