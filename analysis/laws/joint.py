"""One law for a family of networks: test error from density, width and depth (Rosenfeld, Frankle, Carbin, Shavit 2021).

    error = e |(m - i p r) / (m - i p)|^gamma,    m = depth^phi width^psi density,    r = (e_up / e)^(1 / gamma)

i is the imaginary unit and e the error of the unpruned network of that width and depth. For m far above p r the error
is e, for m far below p it is e_up, and in between the power law e_up (p / m)^gamma. Networks of equal m are
interchangeable. Five constants are fitted: gamma, p, psi, phi, and e_up, which guessing bounds. An exponent is fitted
only where the family varies in that size; one network alone gives the law of its density (the paper's equation 1).

Ours differs from the paper in three points. The residual is log(law / error), which is its relative error to first
order: a law twice too high then weighs as much as one twice too low. Points at density 1 are not fitted, for e is
them; how much the law misses them is reported (`dense_misfit`). And e is not taken as known but fitted with the rest,
its measurement being one more point: its noise is in all points of a network, and intervals that forget it are too
narrow (where seeds move every error alike, those of gamma held the truth in 80 to 86 % of repetitions).

Intervals are Student's t around the constants' logarithms (around psi and phi themselves), with points - constants
degrees of freedom. Their covariance is HC3 (MacKinnon and White 1985), which lets points scatter differently: of an
error of 5 %, seeds move a larger part than of one of 50 %. Where the points cannot tell e_up (it ends at its bound, or
its interval holds all that the bounds allow) it is set to guessing's error; where they cannot tell gamma or p within a
factor of 10, as on the dense plateau alone, there is no law.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import optimize, special

from analysis.accuracy import CONFIDENCE
from analysis.laws.form import AS_LOG, NAMES, Floats, Networks, derivatives, log_error
from analysis.laws.points import FAMILY

FEWEST_SPARE = 3
"""Points beyond the number of constants: with fewer, an interval says nothing."""
UNTOLD = 10.0
"""Factor: the points do not tell a constant whose interval reaches further than this from it."""
SLOPE, PLATEAU = np.eye(len(NAMES))[[0, 2]]
GAMMAS = np.log([0.3, 0.7, 1.5, 3.0])
"""Logarithms of the slopes that the search begins with."""
_LOWEST, _HIGHEST = (math.log(0.02), -60.0, 0.0, -20.0, -20.0), (math.log(50), 60.0, 0.0, 20.0, 20.0)
"""Of the constants; those of the plateau are the largest dense error and guessing's."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The constants of a family with their uncertainty."""

    constants: Floats
    """As in `NAMES`."""
    is_free: tuple[bool, ...]
    """Fitted, as opposed to set: the plateau to guessing's error, the exponent of a size that does not vary to 0."""
    log_dense_error: dict[str, float]
    """Of each network that was fitted."""
    covariance: Floats
    """Of the constants, then of these; 0 for constants that are set."""
    even_covariance: Floats
    """The same if all points scattered alike: how much they tell, whatever their residuals happen to be."""
    variance: float
    """Of the residuals."""
    freedom: int

    def predict(self, networks: Networks) -> tuple[Floats, Floats, Floats]:
        """Error of the law, and the ends of the 95 % interval for a new measurement.

        A network that was not fitted has the dense error that was measured, with the scatter of any other point. The
        constants' share of the interval is that of evenly scattered points: HC3 of a dozen is too wide (98 % for 95 %).
        """
        places = {label: place for place, label in enumerate(self.log_dense_error)}
        place = np.array([places.get(label, -1) for label in networks.label])
        fitted = np.array([*self.log_dense_error.values(), 0.0])[place]
        known = replace(networks, log_dense_error=np.where(place < 0, networks.log_dense_error, fitted))
        log, slopes = log_error(self.constants, known), derivatives(self.constants, known)
        by_constants, by_dense = slopes[:, :-1], slopes[:, -1]
        slopes = np.hstack([by_constants, by_dense[:, None] * (place[:, None] == np.arange(len(places)))])
        spread = self.variance * (1 + np.where(place < 0, by_dense**2, 0))
        margin = _t(self.freedom) * np.sqrt(spread + np.einsum("ni,ij,nj->n", slopes, self.even_covariance, slopes))
        return np.exp(log), np.exp(log - margin), np.exp(log + margin)

    def margin(self, direction: Floats, covariance: Floats) -> float:
        """Half the 95 % interval of a sum of constants, with these weights and as they are solved for."""
        known = covariance[: len(NAMES), : len(NAMES)]
        return _t(self.freedom) * math.sqrt(direction @ known @ direction)

    def interval(self, name: str) -> tuple[float, float | None, float | None]:
        """A constant, and its 95 % interval where it was fitted."""
        place = NAMES.index(name)
        value = self.constants[place]
        ends = [float(value)] * 3
        if self.is_free[place]:
            margin = self.margin(np.eye(len(NAMES))[place], self.covariance)
            ends[1:] = [value - margin, value + margin]
        if name in AS_LOG:
            ends = [math.exp(min(end, 700.0)) for end in ends]  # the largest that a float holds
        return (ends[0], ends[1], ends[2]) if self.is_free[place] else (ends[0], None, None)


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
    problem = _Problem(points, is_free)
    law = problem.solve()
    gap, room = problem.highest[2] - law.constants[2], problem.highest[2] - problem.lowest[2]
    margin = max(law.margin(PLATEAU, covariance) for covariance in (law.covariance, law.even_covariance))
    if gap < 1e-6 * room or margin > room:
        is_free[2] = False
        law = _Problem(points, is_free).solve()
    # p is that of a network of width and depth 1, which may be far away: ask where the law of the mean network begins
    log_width, log_depth = problem.networks.log_width.mean(), problem.networks.log_depth.mean()
    begins = np.array([0, 1, 0, -log_width, -log_depth])
    for direction, words in ((SLOPE, "how steep the law is"), (begins, "where the law begins")):
        if law.margin(direction, law.even_covariance) > math.log(UNTOLD):
            raise ValueError(f"the {points.height} points do not tell {words}: too few of them lie on it")
    return law


class _Problem:
    """Least squares in the free constants, and in log e of each network, whose measurement is a residual too."""

    def __init__(self, points: pl.DataFrame, is_free: list[bool]) -> None:
        self.networks, self.measured = Networks.of(points), points["error"].log().to_numpy()
        self.is_free, self.free = tuple(is_free), np.flatnonzero(is_free)
        dense = dict(zip(self.networks.label, self.networks.log_dense_error, strict=True))
        self.labels, self.dense = list(dense), np.array(list(dense.values()))
        self.network = np.array([self.labels.index(label) for label in self.networks.label])
        self.is_of = self.network[:, None] == np.arange(len(self.labels))
        """Points x networks."""
        self.lowest, self.highest = np.array(_LOWEST), np.array(_HIGHEST)
        self.lowest[2], self.highest[2] = self.dense.max(), math.log(points["guessing_error"].to_numpy().min())

    def solve(self) -> Fit:
        """The fit from the two best corners of a coarse grid, for the sum of squares has local minima."""
        unbounded = np.full(len(self.dense), np.inf)
        bounds = (
            np.concatenate([self.lowest[self.free], -unbounded]),
            np.concatenate([self.highest[self.free], unbounded]),
        )
        corners = self._corners()
        solutions = [
            optimize.least_squares(self._residuals, corner, self._slopes, bounds=bounds, x_scale="jac", ftol=1e-12)
            for corner in corners
        ]
        solved = min(solutions, key=lambda solution: float(solution.cost)).x
        constants, log_dense_error = self._split(solved)
        residuals = self._residuals(solved)
        freedom = len(self.measured) - len(self.free)
        variance = float((residuals**2).sum() / freedom)
        robust, even = self._covariances(self._slopes(solved), residuals, variance)
        return Fit(
            constants=constants,
            is_free=self.is_free,
            log_dense_error=dict(zip(self.labels, log_dense_error, strict=True)),
            covariance=robust,
            even_covariance=even,
            variance=variance,
            freedom=freedom,
        )

    def _corners(self) -> list[Floats]:
        psis, phis = ((0.0, 1.0) if free else (0.0,) for free in self.is_free[3:])
        plateau = self.highest[2] - 0.1 * (self.highest[2] - self.lowest[2])  # on the bound a search would end at once
        grid = []
        for psi, phi in itertools.product(psis, phis):
            log_m = self.networks.log_density + psi * self.networks.log_width + phi * self.networks.log_depth
            transitions = np.linspace(log_m.min() - 2 * math.log(10), log_m.max(), 8)
            grid += [(gamma, log_p, plateau, psi, phi) for gamma in GAMMAS for log_p in transitions]
        misses = log_error(np.array(grid).T[:, :, None], self.networks) - self.measured
        best = np.argsort((misses**2).sum(axis=1))[:2]
        return [np.concatenate([np.array(grid[place])[self.free], self.dense]) for place in best]

    def _split(self, solved: Floats) -> tuple[Floats, Floats]:
        """All five constants, and log e of each network."""
        constants = np.array([0.0, 0.0, self.highest[2], 0.0, 0.0])
        constants[self.free] = solved[: len(self.free)]
        return constants, solved[len(self.free) :]

    def _networks(self, solved: Floats) -> Networks:
        """The points, with log e as it is solved for."""
        return replace(self.networks, log_dense_error=self._split(solved)[1][self.network])

    def _residuals(self, solved: Floats) -> Floats:
        constants, log_dense_error = self._split(solved)
        law = log_error(constants, self._networks(solved))
        return np.concatenate([law - self.measured, log_dense_error - self.dense])

    def _slopes(self, solved: Floats) -> Floats:
        slopes = derivatives(self._split(solved)[0], self._networks(solved))
        by_points = np.hstack([slopes[:, self.free], slopes[:, -1:] * self.is_of])
        return np.vstack([by_points, np.eye(len(self.dense), by_points.shape[1], len(self.free))])

    def _covariances(self, slopes: Floats, residuals: Floats, variance: float) -> list[Floats]:
        """HC3, and that of points that all scatter by `variance`: of the five constants and log e of each network."""
        scale = np.maximum(np.linalg.norm(slopes, axis=0), 1e-150)
        basis, triangle = np.linalg.qr(slopes / scale)
        # a constant that nothing depends on gets a huge variance this way, not an error
        triangle[np.diag_indices_from(triangle)] += np.where(np.abs(np.diag(triangle)) < 1e-12, 1e-12, 0)
        per_point = np.linalg.inv(triangle) @ basis.T / scale[:, None]
        # what each residual would be if its point had not been fitted
        deleted = residuals / np.maximum(1 - (basis**2).sum(axis=1), 1e-6)
        places = np.concatenate([self.free, len(NAMES) + np.arange(len(self.dense))])
        covariances = []
        for scatter in (deleted**2, np.full(len(residuals), variance)):
            covariance = np.zeros((len(NAMES) + len(self.dense),) * 2)
            covariance[np.ix_(places, places)] = (per_point * scatter) @ per_point.T
            covariances.append(covariance)
        return covariances


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
    `_high` (null where the constant is not fitted; an exponent is null where its size does not vary). As in the paper,
    `mean_relative_error` and `deviation_relative_error` are of law / error - 1, over the `num_points` fitted points of
    `num_networks` networks. `dense_misfit` is the largest |law / error - 1| at density 1. `num_unpruned` points are not
    fitted for that reason, `num_unusable` because they have no error, no dense network better than guessing, or no
    size; `num_collapsed` and `num_absent` trials are in no point. `refused` says why there is no law.
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
    """Law / error - 1 for each point."""
    return law.predict(Networks.of(points))[0] / points["error"].to_numpy() - 1
