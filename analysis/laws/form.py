"""The function of Rosenfeld et al. 2021 and its derivatives, in logarithms; `joint` fits it.

error = e |(m - i p r) / (m - i p)|^gamma,    m = depth^phi width^psi density,    r = (e_up / e)^(1 / gamma)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
NAMES = ("slope", "transition", "plateau", "width_exponent", "depth_exponent")
"""Constants as they are solved for: log gamma, log p, log e_up, psi, phi."""
AS_LOG = NAMES[:3]


@dataclass(frozen=True)
class Networks:
    """What the law is a function of, point by point: arrays of one length."""

    label: list[str]
    log_density: Floats
    log_width: Floats
    log_depth: Floats
    log_dense_error: Floats

    @classmethod
    def of(cls, points: pl.DataFrame) -> Networks:
        """From rows of `points.table`, all known."""
        logs = (np.log(points[name].to_numpy()) for name in ("density", "width", "depth", "dense_error"))
        return cls(points["model_label"].to_list(), *logs)


def log_error(constants: Floats, networks: Networks) -> Floats:
    """Log of the law's error for each point. `constants` (5 x k x 1) of k candidates give k rows."""
    top, bottom, _, _ = _terms(constants, networks)
    return networks.log_dense_error + np.exp(constants[0]) * (top - bottom) / 2


def derivatives(constants: Floats, networks: Networks) -> Floats:
    """Of `log_error` (points x 6): to the five constants, and to log e."""
    top, bottom, upper, lower = _terms(constants, networks)
    share_top, share_bottom = np.exp(upper - top), np.exp(lower - bottom)
    gamma = math.exp(constants[0])
    by_p = gamma * (share_top - share_bottom)
    return np.column_stack(
        [
            gamma * (top - bottom) / 2 - share_top * (constants[2] - networks.log_dense_error),
            by_p,
            share_top,
            -by_p * networks.log_width,
            -by_p * networks.log_depth,
            1 - share_top,
        ]
    )


def _terms(constants: Floats, networks: Networks) -> tuple[Floats, Floats, Floats, Floats]:
    """Logs of |m - i p r|^2 = m^2 + (p r)^2 and |m - i p|^2, and of (p r)^2 and p^2.

    In logarithms, so that r = (e_up / e)^(1 / gamma) may be as large as it likes.
    """
    log_gamma, log_p, plateau, psi, phi = constants
    log_m = networks.log_density + psi * networks.log_width + phi * networks.log_depth
    upper, lower = 2 * (log_p + (plateau - networks.log_dense_error) / np.exp(log_gamma)), 2 * log_p
    return np.logaddexp(2 * log_m, upper), np.logaddexp(2 * log_m, lower), upper, lower
