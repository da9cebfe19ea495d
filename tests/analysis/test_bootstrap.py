import numpy as np
import pytest
from scipy import stats

from analysis import bootstrap


@pytest.mark.parametrize("skewed", [False, True])
def test_it_is_the_interval_of_efron_1987(skewed):
    # against scipy's own: other draws, so equal up to the noise of 4,000 and 20,000 resamples
    values = np.random.default_rng(1).normal(0.8, 0.1, 20)
    if skewed:
        values[:4] = 0.1
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(2)).confidence_interval
    width = expected.high - expected.low
    assert bootstrap.interval(values) == pytest.approx((expected.low, expected.high), abs=0.04 * width)


def test_it_holds_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(300):
        low, high = bootstrap.interval(generator.normal(0, 1, 30))
        hits += low <= 0 <= high
    assert 0.90 <= hits / 300 <= 0.98  # a little below 95 % with 30 values, as is known of it


def test_the_same_values_have_the_same_interval():
    values = np.linspace(0, 1, 12)
    assert bootstrap.interval(values) == bootstrap.interval(values)


def test_values_that_agree_have_an_interval_without_width():
    assert bootstrap.interval([0.5] * 10) == (0.5, 0.5)


def test_below_ten_values_it_is_refused():
    with pytest.raises(ValueError, match="takes at least 10 runs, and there are 9: use Student's t"):
        bootstrap.interval([0.5] * 9)


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        bootstrap.interval([0.5] * 10 + [float("nan")])
