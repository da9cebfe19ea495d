"""One law for a family of networks: test error from density, width and depth (Rosenfeld, Frankle, Carbin, Shavit, 2021).

    error = e |(m - i p r) / (m - i p)|^gamma,    m = depth^phi width^psi density,    r = (e_up / e)^(1 / gamma)

i is the imaginary unit and e the error of the unpruned network, measured for each width and depth. For m far above p r
the error is e, for m far below p it is e_up, and in between the power law e_up (p / m)^gamma. Networks of equal m are
interchangeable. Five constants are fitted: gamma, p, psi, phi, and e_up, which guessing bounds. An exponent is fitted only where the
family varies in that size; a single network gives the law of its density (the paper's equation 1).

Ours differs from the paper in two points. The residual is log(law / error), which is its relative error to first order:
a law twice too high then weighs as much as one twice too low. Points at density 1 are not fitted, for e is them; how
much the law misses them is reported instead (`dense_misfit`).

Intervals are Student's t around the constants' logarithms (around psi and phi themselves) from the covariance at the
solution, with points - constants degrees of freedom. They take e as known and residuals as independent. Where the
points cannot tell e_up (it ends at its bound, or its interval holds all that the bounds allow) it is set to guessing's
error; where they cannot tell gamma or p within a factor of 10, as on the dense plateau alone, there is no law.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import optimize, special

from analysis.accuracy import CONFIDENCE
from analysis.laws.points import FAMILY

FEWEST_SPARE = 3
"""Points beyond the number of constants: with fewer, an interval says nothing."""
UNTOLD = 10.0
"""Factor: the points do not tell a constant whose interval reaches further than this from it."""

Floats = npt.NDArray[np.float64]
NAMES = ("slope", "transition", "plateau", "width_exponent", "depth_exponent")
"""Constants as they are solved for: log gamma, log p, log e_up, psi, phi."""
_AS_LOG = NAMES[:3]
_LOWEST, _HIGHEST = (math.log(0.02), -60.0, 0.0, -20.0, -20.0), (math.log(50), 60.0, 0.0, 20.0, 20.0)


@dataclass(frozen=True)
class Networks:
    """What the law is a function of: arrays of one length."""

    log_density: Floats
    log_width: Floats
    log_depth: Floats
    log_dense_error: Floats

    @classmethod
    def of(cls, points: pl.DataFrame) -> Networks:
        """From rows of `points.table`, all known."""
        return cls(*(points[name].log().to_numpy() for name in ("density", "width", "depth", "dense_error")))


def log_error(constants: Floats, networks: Networks) -> tuple[Floats, Floats]:
    """Log of the law's error for each network, and its derivatives to the constants (networks x 5, as in `NAMES`)."""
    gamma, log_p = math.exp(constants[0]), constants[1]
    drop = constants[2] - networks.log_dense_error  # log(e_up / e)
    log_m = networks.log_density + constants[3] * networks.log_width + constants[4] * networks.log_depth
    # |m - i p r|^2 = m^2 + (p r)^2, in logarithms so that r = (e_up / e)^(1 / gamma) may be as large as it likes
    upper, lower = 2 * (log_p + drop / gamma), 2 * log_p
    top, bottom = np.logaddexp(2 * log_m, upper), np.logaddexp(2 * log_m, lower)
    share_top, share_bottom = np.exp(upper - top), np.exp(lower - bottom)
    by_p = gamma * (share_top - share_bottom)
    derivatives = [
        gamma * (top - bottom) / 2 - share_top * drop,
        by_p,
        share_top,
        -by_p * networks.log_width,
        -by_p * networks.log_depth,
    ]
    return networks.log_dense_error + gamma * (top - bottom) / 2, np.column_stack(derivatives)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The constants of a family with their uncertainty."""

    constants: Floats
    """As in `NAMES`."""
    is_free: tuple[bool, ...]
    """Fitted, as opposed to set: the plateau to guessing's error, the exponent of a size that does not vary to 0."""
    covariance: Floats
    """Of the constants; 0 where they are set."""
    variance: float
    """Of the residuals."""
    freedom: int

    def predict(self, networks: Networks) -> tuple[Floats, Floats, Floats]:
        """Error of the law, and the ends of the 95 % interval for a new measurement."""
        log, derivatives = log_error(self.constants, networks)
        spread = self.variance + np.einsum("ni,ij,nj->n", derivatives, self.covariance, derivatives)
        margin = _t(self.freedom) * np.sqrt(spread)
        return np.exp(log), np.exp(log - margin), np.exp(log + margin)

    def margin(self, name: str) -> float:
        """Half the width of a constant's 95 % interval, of its logarithm for all but the exponents; 0 if it is set."""
        place = NAMES.index(name)
        return _t(self.freedom) * math.sqrt(self.covariance[place, place])

    def interval(self, name: str) -> tuple[float, float | None, float | None]:
        """A constant, and its 95 % interval where it was fitted."""
        place = NAMES.index(name)
        restore = math.exp if name in _AS_LOG else float
        value = self.constants[place]
        if not self.is_free[place]:
            return restore(value), None, None
        margin = self.margin(name)
        return restore(value), restore(value - margin), restore(value + margin)


def usable(points: pl.DataFrame) -> pl.DataFrame:
    """The points that the law is fitted to: pruned, with an error, of a network of known size and dense error."""
    return points.filter(
        pl.col("density") < 1,
        pl.col("error") > 0,
        pl.col("dense_error") > 0,
        pl.col("dense_error") < pl.col("guessing_error"),
        pl.col("width").is_not_null(),
        pl.col("depth").is_not_null(),
    )


def fewest_points(points: pl.DataFrame) -> int:
    """How many points a fit needs: three more than there are constants."""
    return sum(_is_free(points)) + FEWEST_SPARE


def _is_free(points: pl.DataFrame) -> list[bool]:
    return [True, True, True, *(points[size].n_unique() > 1 for size in ("width", "depth"))]


def fit(points: pl.DataFrame) -> Fit:
    """The law of one family's `usable` points. Raises ValueError, saying why, where they are too few."""
    is_free = _is_free(points)
    fewest = fewest_points(points)
    if points.height < fewest:
        raise ValueError(f"{points.height} of at least {fewest} points needed for {sum(is_free)} constants")
    networks, measured = Networks.of(points), points["error"].log().to_numpy()
    plateaus = points["dense_error"].log().max(), points["guessing_error"].log().min()
    assert isinstance(plateaus[0], float)
    assert isinstance(plateaus[1], float)
    law = _fit(networks, measured, is_free, plateaus)
    room = plateaus[1] - plateaus[0]
    if plateaus[1] - law.constants[2] < 1e-6 * room or law.margin("plateau") > room:
        is_free[2] = False
        law = _fit(networks, measured, is_free, plateaus)
    for name, words in (("slope", "how steep the law is"), ("transition", "where the law begins")):
        if law.margin(name) > math.log(UNTOLD):
            raise ValueError(f"the {points.height} points do not tell {words}: too few of them lie on it")
    return law


def _fit(networks: Networks, measured: Floats, is_free: list[bool], plateaus: tuple[float, float]) -> Fit:
    constants = _solve(networks, measured, is_free, plateaus)
    law, derivatives = log_error(constants, networks)
    freedom = len(measured) - sum(is_free)
    variance = float(((law - measured) ** 2).sum() / freedom)
    free = np.flatnonzero(is_free)
    scale = np.maximum(np.linalg.norm(derivatives[:, free], axis=0), 1e-150)
    triangle = np.linalg.qr(derivatives[:, free] / scale, mode="r")
    # a constant that nothing depends on gets a huge variance this way, not an error
    triangle[np.diag_indices_from(triangle)] += np.where(np.abs(np.diag(triangle)) < 1e-12, 1e-12, 0)
    inverse = np.linalg.inv(triangle) / scale[:, None]
    covariance = np.zeros((len(NAMES), len(NAMES)))
    covariance[np.ix_(free, free)] = variance * inverse @ inverse.T
    return Fit(constants=constants, is_free=tuple(is_free), covariance=covariance, variance=variance, freedom=freedom)


def _solve(networks: Networks, measured: Floats, is_free: list[bool], plateaus: tuple[float, float]) -> Floats:
    """Least squares from the two best corners of a coarse grid: the sum of squares has local minima."""
    free = np.flatnonzero(is_free)
    start = np.array([0.0, 0.0, plateaus[1], 0.0, 0.0])
    lowest, highest = np.array(_LOWEST), np.array(_HIGHEST)
    lowest[2], highest[2] = plateaus

    def full(solved: Floats) -> Floats:
        constants = start.copy()
        constants[free] = solved
        return constants

    def residuals(solved: Floats) -> Floats:
        return log_error(full(solved), networks)[0] - measured

    def derivatives(solved: Floats) -> Floats:
        return log_error(full(solved), networks)[1][:, free]

    grid = [
        np.array([gamma, log_p, plateaus[1], psi, phi])[free]
        for gamma, psi, phi in itertools.product(
            np.log([0.3, 0.7, 1.5, 3.0]), (0.0, 1.0) if is_free[3] else (0.0,), (0.0, 1.0) if is_free[4] else (0.0,)
        )
        for log_p in _transitions(networks, psi, phi)
    ]
    if is_free[2]:  # not on the bound, where the search would end at once
        for corner in grid:
            corner[2] -= 0.1 * (plateaus[1] - plateaus[0])
    grid.sort(key=lambda corner: float((residuals(corner) ** 2).sum()))
    found = [
        optimize.least_squares(
            residuals, corner, derivatives, bounds=(lowest[free], highest[free]), x_scale="jac", xtol=1e-10, ftol=1e-12
        )
        for corner in grid[:2]
    ]
    return full(min(found, key=lambda one: float(one.cost)).x)


def _transitions(networks: Networks, psi: float, phi: float) -> Floats:
    """Where p may lie: along the range of m, and two decades below it."""
    log_m = networks.log_density + psi * networks.log_width + phi * networks.log_depth
    return np.linspace(log_m.min() - 2 * math.log(10), log_m.max(), 8)


def _t(freedom: int) -> float:
    return float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2))


_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(FAMILY, pl.String),
    "num_points": pl.Int64,
    "num_networks": pl.Int64,
    **{f"{name}{end}": pl.Float64 for name in NAMES for end in ("", "_low", "_high")},
    "mean_relative_error": pl.Float64,
    "deviation_relative_error": pl.Float64,
    "largest_relative_error": pl.Float64,
    "dense_misfit": pl.Float64,
    "num_unpruned": pl.Int64,
    "num_unusable": pl.Int64,
    "num_collapsed": pl.Int64,
    "num_absent": pl.Int64,
    "refused": pl.String,
}


def table(points: pl.DataFrame) -> pl.DataFrame:
    """The law of each family of a collected `points.table`, one row for data set, family, training and curve.

    `slope` gamma, `transition` p, `plateau` e_up, `width_exponent` psi and `depth_exponent` phi, each with `_low` and
    `_high` (null where the constant is not fitted; an exponent is null where its size does not vary). As in the paper, `mean_relative_error` and
    `deviation_relative_error` are of law / error - 1 over the `num_points` fitted points of `num_networks` networks.
    `dense_misfit` is the largest |law / error - 1| at density 1. `num_unpruned` points are not fitted for that reason,
    `num_unusable` because they have no error, no dense network better than guessing, or no size; `num_collapsed` and
    `num_absent` trials are in no point. `refused` says why there is no law.
    """
    families = points.partition_by(FAMILY, as_dict=True, maintain_order=True)
    rows = [dict(zip(FAMILY, family, strict=True)) | _row(members) for family, members in families.items()]
    return pl.DataFrame(rows, schema=_SCHEMA).sort(FAMILY)


def _row(points: pl.DataFrame) -> dict[str, Any]:
    fitted = usable(points)
    is_pruned = pl.col("density") < 1
    row: dict[str, Any] = {
        "num_points": fitted.height,
        "num_networks": fitted.n_unique("model_label"),
        "num_unpruned": points.filter(~is_pruned).height,
        "num_unusable": points.filter(is_pruned).height - fitted.height,
        "num_collapsed": points["num_collapsed"].sum(),
        "num_absent": points["num_absent"].sum(),
    }
    try:
        law = fit(fitted)
    except ValueError as reason:
        return row | {"refused": str(reason)}
    for name in NAMES:
        if law.is_free[NAMES.index(name)] or name == "plateau":
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), law.interval(name), strict=True))
    relative = relative_errors(law, fitted)
    unpruned = fitted.unique("model_label").with_columns(density=pl.lit(1.0), error="dense_error")
    return row | {
        "mean_relative_error": float(relative.mean()),
        "deviation_relative_error": float(relative.std()),
        "largest_relative_error": float(np.abs(relative).max()),
        "dense_misfit": float(np.abs(relative_errors(law, unpruned)).max()),
    }


def relative_errors(law: Fit, points: pl.DataFrame) -> Floats:
    """law / error - 1 for each point."""
    return law.predict(Networks.of(points))[0] / points["error"].to_numpy() - 1
