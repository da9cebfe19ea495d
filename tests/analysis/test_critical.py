import pytest
import vl_convert

from analysis import critical
from analysis.report.section import VEGALITE
from analysis.scan import scan
from tests.analysis.drawn import drawn_rows


def fill(builder, collapsed, **point):
    """Trials by (density, seed) with a number of collapsed layers each; None: the trial is missing, "failed": it did.

    Maximal compression is 3000 weights / 3 layers = 1000.
    """
    for (density, seed), layers in collapsed.items():
        trial_id = f"{density}-{seed}-{point}"
        builder.point(trial_id, density=density, seed=seed, **point)
        if layers == "failed":
            builder.trial(trial_id, error=("ValueError", "no"))
        elif layers is not None:
            builder.trial(trial_id, collapsed_layers=layers)
    return scan(builder.write()).results


def test_a_network_has_an_interval_between_grid_points(builder):
    results = fill(builder, {(1.0, 0): 0, (0.1, 0): 0, (0.01, 0): 1, (0.001, 0): 2})
    row = critical.networks(results).collect().row(0, named=True)
    assert (row["critical_low"], row["critical_high"]) == (pytest.approx(10), pytest.approx(100))
    assert (row["is_left_censored"], row["is_right_censored"], row["num_revived"]) == (False, False, 0)
    assert row["largest_without"] == pytest.approx(10)
    # maximal compression is 10^3: two decades above 10^1, one above 10^2
    assert (row["below_maximal_low"], row["below_maximal_high"]) == (pytest.approx(2), pytest.approx(1))


def test_the_ends_of_the_grid_censor(builder):
    results = fill(
        builder,
        {
            (1.0, 0): 0, (0.1, 0): 1, (0.01, 0): 1,
            (0.1, 1): 1,
            (1.0, 2): 0, (0.1, 2): 0, (0.01, 2): 0,
            (0.1, 3): None, (0.01, 3): "failed",
        },
    )  # fmt: skip
    columns = ["critical_low", "critical_high", "is_left_censored", "is_right_censored", "num_absent"]
    assert critical.networks(results).select(columns).collect().rows() == [
        (1.0, pytest.approx(10), True, False, 0),
        (1.0, pytest.approx(10), True, False, 0),  # the same without the dense trial in the grid
        (pytest.approx(100), None, False, True, 0),
        (None, None, False, False, 2),
    ]


def test_collapse_then_none_is_reported_not_averaged_away(builder):
    results = fill(builder, {(0.5, 0): 0, (0.1, 0): 1, (0.05, 0): 0, (0.01, 0): 0, (0.001, 0): 1})
    row = critical.networks(results).collect().row(0, named=True)
    assert (row["critical_low"], row["critical_high"]) == (2.0, pytest.approx(10))  # of the first collapse
    assert (row["largest_without"], row["num_revived"]) == (pytest.approx(100), 2)
    assert critical.table(results).collect()["num_not_monotone"].to_list() == [1]


def test_a_missing_point_widens_the_interval(builder):
    results = fill(builder, {(0.5, 0): 0, (0.1, 0): None, (0.01, 0): 1})
    row = critical.networks(results).collect().row(0, named=True)
    assert (row["critical_low"], row["critical_high"], row["num_absent"]) == (2.0, pytest.approx(100), 1)


def test_medians_over_networks_are_of_decades_and_keep_open_ends(builder):
    results = fill(
        builder,
        {
            (0.1, 0): 0, (0.01, 0): 1,  # 10 to 100
            (0.1, 1): 0, (0.01, 1): 0, (0.001, 1): 1,  # 100 to 1000
            (0.1, 2): 0, (0.01, 2): 0,  # beyond 100
            (0.1, 3): None,
        },
    )  # fmt: skip
    assert critical.table(results).collect().row(0, named=True) == {
        "dataset_label": "digits", "model_label": "mlp", "curve": "synflow", "n": 3,
        "median_low": pytest.approx(100), "median_high": pytest.approx(1000),
        "lowest": pytest.approx(10), "highest": None,
        "num_left_censored": 0, "num_right_censored": 1, "num_not_monotone": 0,
        "largest_without": pytest.approx(100), "max_compression_ratio": 1000.0,
        "below_maximal_low": pytest.approx(1), "below_maximal_high": pytest.approx(0, abs=1e-12),
        "num_absent": 1, "num_points_absent": 1,
    }  # fmt: skip


def test_the_median_of_two_networks_lies_half_way_in_decades(builder):
    results = fill(builder, {(0.1, 0): 0, (0.01, 0): 1, (0.01, 1): 0, (0.001, 1): 1})
    row = critical.table(results).collect().row(0, named=True)
    assert (row["median_low"], row["median_high"]) == (pytest.approx(10**1.5), pytest.approx(10**2.5))


def test_where_most_networks_outlast_the_grid_the_median_has_no_upper_end(builder):
    results = fill(builder, {(0.1, 0): 0, (0.1, 1): 0, (0.1, 2): 1})
    row = critical.table(results).collect().row(0, named=True)
    assert (row["median_low"], row["median_high"], row["below_maximal_high"]) == (pytest.approx(10), None, None)


def test_a_network_that_was_only_trained_dense_says_nothing(builder):
    results = fill(builder, {(1.0, 0): 0, (1.0, 1): 0, (0.1, 1): 0})
    row = critical.table(results).collect().row(0, named=True)
    assert (row["n"], row["lowest"], row["num_right_censored"]) == (1, pytest.approx(10), 1)


def test_nothing_but_failures_gives_a_row_of_nulls(builder):
    row = critical.table(fill(builder, {(0.1, 0): "failed"})).collect().row(0, named=True)
    assert (row["n"], row["num_absent"], row["median_low"], row["highest"], row["max_compression_ratio"]) == (
        0, 1, None, None, None,
    )  # fmt: skip


def test_an_empty_store_gives_no_rows(tmp_path):
    assert critical.table(scan(tmp_path).results).collect().is_empty()


def test_training_tells_networks_apart_only_where_it_decides_the_masks(builder):
    for lr in (0.1, 0.01):
        fill(builder, {(0.1, 0): 0}, lr=lr)
        fill(builder, {(0.1, 0): int(lr == 0.1)}, lr=lr, pruner="imp", pre_epochs=5, rewind="weights")
        fill(builder, {(0.1, 0): int(lr == 0.1)}, lr=lr, pruner="rigl")
    rows = critical.networks(scan(builder.write()).results).select("curve", "recipe", "critical_high").collect().rows()
    assert rows == [
        ("imp", "lr 0.01", None),
        ("imp", "lr 0.1", pytest.approx(10)),
        ("rigl", "lr 0.01", None),
        ("rigl", "lr 0.1", pytest.approx(10)),
        ("synflow", "", None),
    ]


def test_the_chart_shows_intervals_open_ends_and_maximal_compression(builder):
    fill(builder, {(0.1, 0): 0, (0.01, 0): 1}, pruner="magnitude")
    results = fill(builder, {(0.1, 0): 0, (0.01, 0): 0})
    spec = critical.plot(critical.table(results).collect()).to_dict()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGALITE)
    assert svg.count('aria-roledescription="bar"') == 2
    assert svg.count('aria-roledescription="tick"') == 2
    assert svg.count('aria-roledescription="point"') == 1  # synflow's interval is open
    assert [(row["curve"], row["interval_text"], row["maximal_text"]) for row in drawn_rows(spec)] == [
        ("magnitude", "90 % to 99 %", "99.9 %"),
        ("synflow", "99 % to beyond the grid", "99.9 %"),
    ]
