"""Where two curves change places, against crossings that were put there."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis import comparisons, crossings
from tests.analysis.runs import results

DENSITIES = [0.1, 10**-1.5, 0.01, 10**-2.5, 0.001]


def runs_of(differences, densities=DENSITIES):
    """Curve b at 0.5, curve a above it by `differences` (densities x seeds)."""
    return [
        {"curve": curve, "density": density, "seed": seed, "final_test_accuracy": 0.5 + share * value}
        for density, row in zip(densities, differences, strict=True)
        for seed, value in enumerate(row)
        for curve, share in (("a", 1.0), ("b", 0.0))
    ]


def crossings_of(differences, densities=DENSITIES):
    return crossings.table(comparisons.table(results(runs_of(differences, densities))).collect())


def test_a_crossing_between_two_grid_points():
    spread = np.array([-0.01, -0.005, 0.0, 0.005, 0.01])
    row = crossings_of([0.10 + spread, -0.30 + spread], [0.1, 0.01]).row(0, named=True)
    assert (row["curve"], row["other_curve"], row["n"]) == ("b", "a", 5)
    assert row["density"] == pytest.approx(10**-1.25)  # a quarter of the way from 10^-1 to 10^-2
    assert (row["lead_before"], row["lead_after"]) == pytest.approx((0.10, 0.30))
    # the spread is the same at both ends, so the mean's error is everywhere s / sqrt 5 and Fieller's ends are where
    # the mean is t x that, on a slope of -0.4 a decade
    shift = stats.t.ppf(0.975, 4) * np.std(spread, ddof=1) / math.sqrt(5) / 0.4
    assert row["interval_dense"] == pytest.approx(10 ** -(1.25 - shift))
    assert row["interval_sparse"] == pytest.approx(10 ** -(1.25 + shift))


def test_an_interval_reaches_over_grid_points_that_tell_nothing():
    spread = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
    row = crossings_of([m + spread for m in (0.3, 0.01, -0.01, -0.01, -0.3)]).row(0, named=True)
    assert row["density"] == pytest.approx(10**-1.75)
    assert (row["density_before"], row["density_after"]) == pytest.approx((0.1, 0.001))
    assert row["interval_dense"] > 10**-1.5
    assert row["interval_sparse"] < 10**-2.5


def test_curves_that_touch_do_not_cross():
    spread = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
    assert crossings_of([m + spread for m in (0.3, 0.1, -0.005, 0.005, -0.005)]).is_empty()


def test_four_pairs_are_refused():
    spread = np.array([-0.01, 0.0, 0.0, 0.01])
    assert crossings_of([0.1 + spread, -0.3 + spread], [0.1, 0.01]).is_empty()


def test_two_crossings_of_one_pair():
    spread = np.array([-0.01, -0.005, 0.0, 0.005, 0.01])
    table = crossings_of([m + spread for m in (0.2, -0.3, 0.1)], [0.1, 0.01, 0.001])
    assert table.select("curve", "other_curve").rows() == [("b", "a"), ("a", "b")]
    assert table["density"].to_list() == pytest.approx([10**-1.4, 10**-2.75])


def test_a_density_with_too_few_pairs_is_stepped_over():
    spread = np.array([-0.01, -0.005, 0.0, 0.005, 0.01])
    runs = runs_of([m + spread for m in (0.2, 0.2, -0.3)], [0.1, 0.01, 0.001])
    for run in runs:
        if run["density"] == 0.01 and run["seed"] < 2:
            run["outcome"] = "failed"  # three pairs are left there: silent, and crossed over
    row = crossings.table(comparisons.table(results(runs)).collect()).row(0, named=True)
    assert (row["density_before"], row["density_after"]) == pytest.approx((0.1, 0.001))
    assert row["interval_sparse"] < row["density"] < row["interval_dense"]


def test_intervals_cover_the_true_crossing_as_often_as_they_say():
    """300 sweeps of eight seeds whose true crossing is 10^-1.9: each seed's line has its own height and slope."""
    generator = np.random.default_rng(11)
    repetitions, truth = 300, 1.9
    exponents = -np.log10(DENSITIES)
    covered = found = 0
    for _ in range(repetitions):
        slope = -0.25 + generator.normal(0, 0.03, 8)
        height = generator.normal(0, 0.03, 8)
        rows = crossings_of([height + slope * (x - truth) for x in exponents])
        assert rows.height <= 1
        for row in rows.iter_rows(named=True):
            found += 1
            covered += row["interval_sparse"] <= 10**-truth <= row["interval_dense"]
    assert found > 0.98 * repetitions
    assert stats.binomtest(covered, found, 0.95).pvalue > 0.001, f"{covered} of {found}"
