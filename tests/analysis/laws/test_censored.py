"""Lines through intervals: against least squares, a brute-force likelihood, and laws of known constants."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from analysis.laws import censored

SLOPE, LEVEL = 0.6, -0.3


def seen_through(grid, x, y):
    """The interval of a grid that each value lies in; the grid's ends censor."""
    place = np.searchsorted(grid, y)
    return np.append(-math.inf, grid)[place], np.append(grid, math.inf)[place]


def draw(seed, scatter, grid, num_networks=4):
    """Values around the line LEVEL + SLOPE x, as intervals."""
    x = np.repeat(np.arange(0.5, 4.01, 0.5), num_networks)
    y = LEVEL + SLOPE * x + np.random.default_rng(seed).normal(0, scatter, len(x))
    return x, *seen_through(np.log10(grid), x, y)


def test_intervals_that_shrink_to_points_give_least_squares_and_its_t_intervals():
    generator = np.random.default_rng(0)
    x = np.repeat(np.linspace(0.5, 4, 8), 3)
    y = LEVEL + SLOPE * x + generator.normal(0, 0.2, len(x))
    line = censored.fit(x, y - 5e-4, y + 5e-4, np.ones_like(x))
    expected = stats.linregress(x, y)
    margin = stats.t.ppf(0.975, len(x) - 2) * expected.stderr
    assert (line.slope, line.slope_low, line.slope_high) == pytest.approx(
        (expected.slope, expected.slope - margin, expected.slope + margin), abs=1e-5
    )
    assert line.centre == pytest.approx(x.mean())
    assert line.level == pytest.approx(y.mean(), abs=1e-5)
    # the level at the centre has the variance s^2 / n
    s = math.sqrt(((y - expected.intercept - expected.slope * x) ** 2).sum() / (len(x) - 2))
    margin = stats.t.ppf(0.975, len(x) - 2) * s / math.sqrt(len(x))
    assert (line.level_low, line.level_high) == pytest.approx((line.level - margin, line.level + margin), abs=1e-5)


def test_the_maximum_is_that_of_the_likelihood_written_out():
    x, low, high = draw(3, 0.3, [1, 3, 10, 30, 100])

    def cost(constants):
        slope, level, log_scatter = constants
        mean, scatter = level + slope * x, math.exp(log_scatter)
        mass = stats.norm.cdf((high - mean) / scatter) - stats.norm.cdf((low - mean) / scatter)
        return -np.log(mass).sum()

    best = optimize.minimize(cost, [0.5, 0.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    line = censored.fit(x, low, high, np.ones_like(x))
    slope, intercept, log_scatter = best.x
    assert line.slope == pytest.approx(slope, abs=1e-4)
    assert line.level - line.slope * line.centre == pytest.approx(intercept, abs=1e-4)
    assert line.scatter == pytest.approx(math.exp(log_scatter), abs=1e-4)


def test_counts_are_as_good_as_repetitions():
    x, low, high = draw(1, 0.2, [1, 3, 10, 30, 100, 300])
    rows, count = np.unique(np.column_stack([x, low, high]), axis=0, return_counts=True)
    once = censored.fit(x, low, high, np.ones_like(x))
    x, low, high = rows.T
    counted = censored.fit(x, low, high, count.astype(float))
    assert vars(counted) == pytest.approx(vars(once), rel=1e-6)


@pytest.mark.parametrize(
    ("scatter", "grid"),
    [(0.15, [1, 3, 10, 30, 100, 300]), (0.4, [1, 3, 10, 30, 100, 300]), (0.3, [1, 10, 100, 1000])],
)
def test_the_intervals_hold_the_law_as_often_as_they_say(scatter, grid):
    repetitions = 100
    slopes = levels = 0
    for seed in range(repetitions):
        x, low, high = draw(seed, scatter, grid)
        line = censored.fit(x, low, high, np.ones_like(x))
        slopes += line.slope_low <= SLOPE <= line.slope_high
        levels += line.level_low <= LEVEL + SLOPE * line.centre <= line.level_high
    # 95 of 100 expected; the binomial is below 88 in 0.4 %
    assert slopes >= 88
    assert levels >= 88


def test_without_scatter_the_interval_holds_every_line_through_the_bars():
    # networks that agree: a decade wide each, the lines through all of them have slopes from 0.5 to 1.5
    x = np.array([0.0, 1.0, 2.0])
    line = censored.fit(x, x - 0.5, x + 0.5, np.array([5.0, 5.0, 5.0]))
    assert line.slope == pytest.approx(1.0)
    assert 0.5 < line.slope_low < 0.55
    assert 1.45 < line.slope_high < 1.5
    assert 0.5 < line.level_low < 0.55  # level, the value at 1
    assert line.scatter == pytest.approx(1 / 50)  # the finest that is looked for


def test_censored_values_are_not_left_out():
    # at x = 3 and 4 nothing was enough: the slope must not be that of the bounded ones alone, which are level
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    low = np.array([0.0, 0.0, 0.0, 1.5, 2.5])
    high = np.array([1.0, 1.0, 1.0, math.inf, math.inf])
    count = np.full(5, 4.0)
    bounded = censored.fit(x[:3], low[:3], high[:3], count[:3])
    assert bounded.slope == pytest.approx(0.0, abs=1e-6)
    assert censored.fit(x, low, high, count).slope > 0.3


def test_two_places_are_refused():
    x = np.array([0.0, 1.0, 1.0, 2.0])
    low, high = np.array([0.0, 0.5, 0.6, 1.0]), np.array([1.0, 1.5, 1.6, math.inf])
    with pytest.raises(ValueError, match="3 or more"):
        censored.fit(x, low, high, np.ones_like(x))
