"""Several stores side by side, with numbers worked out by hand."""

import pytest
from scipy import stats

from analysis import origins
from analysis.report.collected import collect
from analysis.report.write import write_report
from tests.analysis.conftest import StoreBuilder


def store(root, accuracies, **point):
    """A store with a trial a seed; None is a trial that failed."""
    builder = StoreBuilder(root)
    for seed, value in accuracies.items():
        name = f"{point.get('pruner', 'synflow')}-{seed}"
        if value is None:
            builder.both(name, point={"seed": seed, **point}, error=("ValueError", "no"))
        else:
            builder.both(name, point={"seed": seed, **point}, final_test_accuracy=value, layers={"in": (10, 1)})
    return builder.write()


def test_equal_points_are_paired_by_seed(tmp_path):
    one = store(tmp_path / "one", {0: 0.5, 1: 0.6, 2: 0.7, 3: 0.9})
    two = store(tmp_path / "two", {1: 0.65, 2: 0.72, 3: None, 4: 0.1, 0: 0.5})
    collected = collect(one, two)
    row = collected.tables["store_differences"].row(0, named=True)
    assert collected.tables["store_differences"].height == 1
    assert (row["store_name"], row["other_store_name"]) == ("one", "two")
    assert (row["curve"], row["other_curve"]) == ("synflow · one", "synflow · two")
    assert (row["n"], row["num_equal"], row["num_unpaired"]) == (3, 1, 2)  # seed 3 failed in two, 4 is in two alone
    assert row["mean_accuracy"] == pytest.approx(0.6)
    assert row["mean_difference"] == pytest.approx((0 + 0.05 + 0.02) / 3)
    interval = stats.ttest_rel([0.5, 0.65, 0.72], [0.5, 0.6, 0.7]).confidence_interval(0.95)
    assert (row["interval_low"], row["interval_high"]) == pytest.approx((interval.low, interval.high))


def test_a_trial_that_both_stores_hold_has_its_own_layers_in_each(tmp_path):
    places = []
    for name, kept in (("one", 4), ("two", 8)):
        builder = StoreBuilder(tmp_path / name)
        builder.both("same", point={}, layers={"in": (10, kept)})
        places.append(builder.write())
    rows = collect(*places).tables["layers"]
    assert rows.select("curve", "n", "mean_kept").rows() == [("synflow · one", 1, 4.0), ("synflow · two", 1, 8.0)]


def test_each_store_is_counted_by_itself(tmp_path):
    one = store(tmp_path / "one", {0: 0.5, 1: 0.6})
    two = store(tmp_path / "two", {1: 0.6, 2: None})
    collected = collect(one, two)
    columns = ["store_name", "num_trials", "num_completed", "num_failed", "num_shared"]
    assert collected.tables["stores"].select(columns).rows() == [("one", 2, 2, 0, 1), ("two", 2, 1, 1, 1)]
    assert collected.counts["num_trials"] == 4


def test_labels_that_do_not_coincide_stay_as_they_are(tmp_path):
    one = store(tmp_path / "one", {0: 0.5})
    two = store(tmp_path / "two", {0: 0.6}, pruner="snip")
    collected = collect(one, two)
    assert set(collected.palette.curves) == {"synflow", "snip"}
    assert collected.tables["store_differences"].is_empty()
    page = write_report(one, two)[0]
    assert page == one / "compared" / "report.html"
    assert "No point is in more than one of these stores" in page.read_text()


def test_nothing_in_common_at_all_gives_a_page(tmp_path):
    one = store(tmp_path / "one", {0: 0.5}, dataset="digits")
    two = store(tmp_path / "two", {0: 0.6}, dataset="mnist", model="convnet")
    assert "No point is in more than one" in write_report(one, two, into=tmp_path / "page")[0].read_text()


def test_of_three_stores_each_is_compared_with_the_first_that_has_the_point(tmp_path):
    places = [store(tmp_path / name, {0: value}) for name, value in (("a", 0.5), ("b", 0.6), ("c", 0.8))]
    rows = collect(*places).tables["store_differences"]
    assert rows.select("store_name", "other_store_name", "mean_difference").rows() == [
        ("a", "b", pytest.approx(0.1)),
        ("a", "c", pytest.approx(0.3)),
    ]
    assert rows["interval_low"].to_list() == [None, None]


def test_stores_are_named_by_what_tells_them_apart():
    assert origins.store_names(("s3://bucket/x/run", "s3://bucket/y/run")) == {
        "s3://bucket/x/run": "x/run",
        "s3://bucket/y/run": "y/run",
    }
    assert origins.store_names(("a",)) == {"a": "a"}
