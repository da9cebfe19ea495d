"""The power law of error against density, on errors of known laws."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis.laws import power
from tests.analysis.drawn import drawn_rows

DENSITIES = [1.0, 0.5, *(10 ** -(0.25 * step) for step in range(2, 17))]


def points(errors, densities=None, *, dense=0.02, guessing=0.9, **columns):
    rows = [
        {"density": density, "error": error}
        for density, error in zip(densities or DENSITIES[: len(errors)], errors, strict=True)
    ]
    return pl.LazyFrame(rows, schema={"density": pl.Float64, "error": pl.Float64}).with_columns(
        dataset_label=pl.lit("digits"),
        model_label=pl.lit("mlp"),
        training_label=pl.lit(""),
        curve=pl.lit(columns.get("curve", "snip")),
        dense_error=pl.lit(dense, dtype=pl.Float64),
        guessing_error=pl.lit(guessing),
        n=pl.lit(5, dtype=pl.Int64),
        num_collapsed=pl.lit(columns.get("num_collapsed", 0), dtype=pl.Int64),
        num_absent=pl.lit(0, dtype=pl.Int64),
    )


def law(density, gamma=0.4, coefficient=0.025):
    """With both plateaus: at 0.02 and at 0.9."""
    return min(0.9, max(0.02, coefficient * density**-gamma))


def fitted(frame):
    return power.table(frame).collect().row(0, named=True)


def test_a_law_without_noise_is_found_exactly():
    row = fitted(points([law(density) for density in DENSITIES]))
    assert (row["exponent"], row["coefficient"]) == pytest.approx((0.4, 0.025))
    assert (row["exponent_low"], row["exponent_high"]) == pytest.approx((0.4, 0.4))
    assert row["largest_residual"] < 1e-12
    # 0.025 d^-0.4 reaches 0.03 at d = 0.63 and 0.6 at 10^-3.45
    assert (row["densest"], row["sparsest"]) == (0.5, pytest.approx(10**-3.25))
    assert (row["num_points"], row["num_dense_plateau"], row["num_guessing_plateau"]) == (13, 1, 3)
    assert (row["num_no_error"], row["refused"]) == (0, None)


def test_exponent_interval_and_residuals_are_those_of_linear_regression():
    generator = np.random.default_rng(5)
    inside = [density for density in DENSITIES if 10**-3.3 < density < 0.6]
    errors = [law(density) * math.exp(generator.normal(0, 0.05)) for density in inside]
    row = fitted(points(errors, inside))
    line = stats.linregress(-np.log(inside), np.log(errors))
    margin = stats.t.ppf(0.975, len(inside) - 2) * line.stderr
    assert row["num_points"] == len(inside)
    assert row["exponent"] == pytest.approx(line.slope)
    assert (row["exponent_low"], row["exponent_high"]) == pytest.approx((line.slope - margin, line.slope + margin))
    residuals = np.log(errors) - line.intercept + line.slope * np.log(inside)
    assert row["largest_residual"] == pytest.approx(np.abs(residuals).max())
    assert row["rms_residual"] == pytest.approx(math.sqrt((residuals**2).sum() / (len(inside) - 2)))


def test_three_points_are_refused_with_a_sentence():
    row = fitted(points([0.02, 0.1, 0.2, 0.3, 0.9], [1.0, 0.1, 0.01, 0.001, 0.0001], num_collapsed=1))
    assert row["refused"] == "3 of at least 4 points needed are clear of both plateaus"
    assert [row[name] for name in ("exponent", "exponent_low", "coefficient", "rms_residual")] == [None] * 4
    assert (row["num_points"], row["num_dense_plateau"], row["num_guessing_plateau"]) == (3, 1, 1)
    assert row["num_collapsed"] == 5


def test_points_without_an_error_are_counted():
    row = fitted(points([0.05, 0.0, None, 0.1, 0.2, 0.4], [0.5, 0.2, 0.15, 0.1, 0.03, 0.01]))
    assert (row["num_points"], row["num_no_error"]) == (4, 2)


def test_without_a_dense_network_the_smallest_error_stands_for_its_own():
    errors = [0.02, 0.02, 0.04, 0.08, 0.16, 0.32]
    row = fitted(points(errors, [0.8, 0.5, 0.2, 0.1, 0.05, 0.025], dense=None))
    assert (row["num_points"], row["num_dense_plateau"]) == (4, 2)


def test_each_curve_has_its_own_law():
    one = points([law(d, 0.3) for d in DENSITIES], curve="one")
    two = points([law(d, 0.5) for d in DENSITIES], curve="two")
    table = power.table(pl.concat([one, two])).collect()
    assert table.select("curve", "exponent").rows() == [("one", pytest.approx(0.3)), ("two", pytest.approx(0.5))]


def test_intervals_cover_the_exponent_as_often_as_they_say():
    """1000 curves of one law, log errors off by 4 %: between 93 and 97 % of 1000 are expected, p > 0.001."""
    generator = np.random.default_rng(2)
    curves = [
        points([law(d) * math.exp(generator.normal(0, 0.04)) for d in DENSITIES], curve=f"c{number}")
        for number in range(1000)
    ]
    table = power.table(pl.concat(curves)).collect()
    assert table["refused"].null_count() == 1000
    covered = table.select(pl.lit(0.4).is_between("exponent_low", "exponent_high").sum()).item()
    assert stats.binomtest(covered, 1000, 0.95).pvalue > 0.001, covered


def test_the_chart_holds_points_and_laws():
    rows = power.fitted(points([law(density) for density in DENSITIES])).collect()
    drawn = drawn_rows(power.plot(rows).to_dict())
    assert len(drawn) == len(DENSITIES)
    assert [row["law_error"] for row in drawn if row["region"] == "law"] == pytest.approx(
        [law(1 / row["compression_ratio"]) for row in drawn if row["region"] == "law"], rel=1e-4
    )
    assert {row["law_error"] for row in drawn if row["region"] != "law"} == {None}
