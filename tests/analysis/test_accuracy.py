import math

import polars as pl
import pytest
import vl_convert

from analysis import accuracy, bootstrap
from analysis.report.section import VEGALITE
from analysis.scan import scan


def table(root):
    return accuracy.table(scan(root).results).collect()


def test_mean_and_interval_over_seeds(builder):
    for seed, value in enumerate([0.80, 0.90, 0.94]):
        builder.both(f"t{seed}", point={"seed": seed}, final_test_accuracy=value)
    row = table(builder.write()).row(0, named=True)
    assert (row["n"], row["min_accuracy"], row["max_accuracy"]) == (3, 0.80, 0.94)
    assert row["mean_accuracy"] == pytest.approx(0.88)
    # t(0.975, 2) = 4.302653 from a printed table; s^2 = (0.08^2 + 0.02^2 + 0.06^2) / 2 = 0.0052
    half = 4.302653 * math.sqrt(0.0052 / 3)
    assert row["interval_low"] == pytest.approx(0.88 - half, abs=1e-7)
    assert row["interval_high"] == pytest.approx(0.88 + half, abs=1e-7)
    assert (row["sparsity"], row["compression_ratio"], row["chance"]) == (0.9, 10.0, 0.1)


def test_one_run_has_no_interval(builder):
    builder.both("a", point={}, final_test_accuracy=0.5)
    row = table(builder.write()).row(0, named=True)
    assert (row["n"], row["mean_accuracy"]) == (1, 0.5)
    assert row["interval_low"] is None
    assert row["interval_high"] is None


def test_a_bootstrap_interval_is_refused_below_ten_runs(builder):
    for seed in range(12):
        builder.both(f"a{seed}", point={"seed": seed, "density": 0.1}, final_test_accuracy=0.5 + seed / 100)
        if seed < 9:
            builder.both(f"b{seed}", point={"seed": seed, "density": 0.01}, final_test_accuracy=0.5)
    rows = accuracy.table(scan(builder.write()).results, interval="bootstrap").collect()
    ten, nine = rows.rows(named=True)
    low, high = bootstrap.interval([0.5 + seed / 100 for seed in range(12)])
    assert (ten["n"], ten["interval_low"], ten["interval_high"]) == (12, pytest.approx(low), pytest.approx(high))
    assert ten["interval_refused"] is None
    assert (nine["n"], nine["mean_accuracy"], nine["interval_low"], nine["interval_high"]) == (9, 0.5, None, None)
    assert nine["interval_refused"] == "a bootstrap interval takes at least 10 runs, and there are 9: use Student's t"


def test_collapsed_trials_stay_in_the_mean_and_the_others_are_counted_beside_it(builder):
    builder.both("a", point={"seed": 0}, final_test_accuracy=0.9)
    builder.both("b", point={"seed": 1}, final_test_accuracy=0.1, collapsed_layers=2)
    builder.both("c", point={"seed": 2}, final_test_accuracy=0.7, final_test_loss=float("nan"), collapsed_layers=1)
    builder.both("d", point={"seed": 3}, error=("ValueError", "no"))
    builder.point("e", seed=4)
    row = table(builder.write()).row(0, named=True)
    assert row["mean_accuracy"] == pytest.approx(0.5)
    assert {name: row[name] for name in row if name.startswith("num_") or name in ("n", "collapsed_share")} == {
        "n": 2,
        "num_collapsed": 1,
        "collapsed_share": 0.5,
        "num_diverged": 1,
        "num_failed": 1,
        "num_missing": 1,
    }


def test_disconnected_is_not_collapsed(builder):
    builder.both("a", point={}, is_connected=False, collapsed_layers=0)
    assert table(builder.write())["num_collapsed"].to_list() == [0]


def test_a_cell_without_a_usable_run_keeps_its_row(builder):
    builder.point("a")
    row = table(builder.write()).row(0, named=True)
    assert (row["n"], row["num_missing"], row["mean_accuracy"], row["collapsed_share"]) == (0, 1, None, None)


def test_training_settings_that_vary_are_not_averaged(builder):
    builder.both("a", point={"lr": 0.1}, final_test_accuracy=0.9)
    builder.both("b", point={"lr": 0.01}, final_test_accuracy=0.5)
    rows = table(builder.write()).select("training_label", "n", "mean_accuracy").rows()
    assert rows == [("lr 0.01", 1, 0.5), ("lr 0.1", 1, 0.9)]


def test_rows_go_from_dense_to_sparse(builder):
    for density in (0.01, 1.0, 0.1):
        builder.point(f"t{density}", density=density)
    assert table(builder.write())["density"].to_list() == [1.0, 0.1, 0.01]


def test_the_chart_holds_the_rows_it_was_given(builder):
    for seed, value in enumerate([0.8, 0.9]):
        builder.both(f"t{seed}", point={"seed": seed}, final_test_accuracy=value)
    builder.both("c", point={"model": "convnet"}, final_test_accuracy=0.3)
    spec = accuracy.plot(table(builder.write())).to_dict()
    drawn = [pl.read_csv(spec["datasets"][panel["data"]["name"]].encode()) for panel in spec["concat"]]
    assert [rows.select("model_label", "mean_accuracy").rows() for rows in drawn] == [
        [("convnet", 0.3)],
        [("mlp", 0.85)],
    ]


def test_a_chart_can_start_above_zero_and_leaves_out_what_lies_below(builder):
    for name, value in [("magnitude", 0.85), ("random", 0.4)]:
        builder.both(name, point={"pruner": name}, final_test_accuracy=value)
    rows = table(builder.write())
    whole, cut = (
        vl_convert.vegalite_to_svg(accuracy.plot(rows, lowest=lowest).to_dict(), vl_version=VEGALITE)
        for lowest in (0.0, 0.8)
    )
    mark = 'aria-roledescription="point"'
    assert (whole.count(mark), cut.count(mark)) == (2, 1)
    assert (">chance<" in whole, ">chance<" in cut) == (True, False)
    assert (">40 %<" in whole, ">80 %<" in cut, ">40 %<" in cut) == (True, True, False)
