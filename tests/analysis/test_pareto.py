"""The Pareto front, by hand."""

from __future__ import annotations

import math

import pytest
import vl_convert

from analysis import pareto
from analysis.report.section import VEGALITE
from analysis.scan import scan


def table(root):
    return pareto.table(scan(root).results).collect()


def fill(builder):
    """Mean accuracies 0.9 dense (both curves), then synflow 0.8, 0.6 and magnitude 0.7, 0.65."""
    for seed in range(2):
        builder.both(
            f"dense{seed}",
            point={"density": 1.0, "seed": seed},
            final_test_accuracy=0.89 + 0.02 * seed,
            live_macs=1000,
            train_seconds=40.0,
        )
        builder.point(f"dense{seed}", density=1.0, seed=seed, pruner="magnitude")
    cells = {
        ("synflow", 0.1): (0.8, 300, 20.0),
        ("synflow", 0.01): (0.6, 10, 4.0),
        ("magnitude", 0.1): (0.7, 100, 25.0),
        ("magnitude", 0.01): (0.65, 50, 3.0),
    }
    for (pruner, density), (accuracy, macs, seconds) in cells.items():
        builder.both(
            f"{pruner}{density}",
            point={"density": density, "pruner": pruner},
            final_test_accuracy=accuracy,
            live_macs=macs,
            train_seconds=seconds,
        )


def fronts(found):
    kept = found.filter("is_on_front")
    return {
        cost: kept.filter(cost=cost).select("curve", "density", "value").rows()
        for cost in kept["cost"].unique(maintain_order=True)
    }


def test_fronts_by_hand(builder):
    fill(builder)
    found = table(builder.write())
    assert found.height == 3 * 6
    assert fronts(found) == {
        "density": [
            ("magnitude", 0.01, 0.01),
            ("synflow", 0.1, 0.1),
            ("magnitude", 1.0, 1.0),
            ("synflow", 1.0, 1.0),
        ],
        "multiply-accumulates": [
            ("synflow", 0.01, 10),
            ("magnitude", 0.01, 50),
            ("magnitude", 0.1, 100),
            ("synflow", 0.1, 300),
            ("magnitude", 1.0, 1000),
            ("synflow", 1.0, 1000),
        ],
        # 4 s for 0.6 is beaten by 3 s for 0.65, 25 s for 0.7 by 20 s for 0.8
        "training seconds": [
            ("magnitude", 0.01, 3),
            ("synflow", 0.1, 20),
            ("magnitude", 1.0, 40),
            ("synflow", 1.0, 40),
        ],
    }


def test_a_row_says_how_sure_it_is(builder):
    fill(builder)
    row = table(builder.write()).row(-1, named=True)
    assert (row["cost"], row["machine"], row["curve"], row["density"]) == ("training seconds", "cpu", "synflow", 1.0)
    assert (row["n"], row["num_collapsed"], row["num_left_out"]) == (2, 0, 0)
    assert row["mean_accuracy"] == pytest.approx(0.9)
    # t(0.975, 1) = 12.7062, s = 0.01 * sqrt(2), n = 2
    assert row["interval_high"] - row["mean_accuracy"] == pytest.approx(12.7062 * 0.01, abs=1e-6)


def test_curves_that_share_a_trial_are_one_row_of_the_front(builder):
    fill(builder)
    rows = pareto.front(table(builder.write())).filter(cost="density").select("curves", "density", "n").rows()
    assert rows == [(["magnitude"], 0.01, 1), (["synflow"], 0.1, 1), (["magnitude", "synflow"], 1.0, 2)]


def test_equal_cells_are_both_on_the_front_and_a_worse_one_at_the_same_cost_is_not(builder):
    for pruner, accuracy in {"snip": 0.8, "grasp": 0.8, "random": 0.7}.items():
        builder.both(pruner, point={"pruner": pruner}, final_test_accuracy=accuracy)
    found = table(builder.write())
    assert dict(found.select("curve", "is_on_front").rows()) == {"snip": True, "grasp": True, "random": False}


def test_what_did_not_come_out_is_counted_and_bends_nothing(builder):
    builder.both("a", point={"seed": 0}, final_test_accuracy=0.8, live_macs=100, collapsed_layers=1, train_seconds=2.0)
    nan = {"final_test_loss": math.nan, "final_test_accuracy": 0.1, "live_macs": 9, "train_seconds": 99.0}
    builder.both("b", point={"seed": 1}, **nan)
    builder.both("c", point={"seed": 2}, error=("ValueError", "no"))
    builder.point("d", seed=3)
    columns = ["cost", "n", "mean_accuracy", "value", "num_collapsed", "num_left_out"]
    assert table(builder.write()).select(columns).rows() == [
        ("density", 1, 0.8, 0.1, 1, 3),
        ("multiply-accumulates", 1, 0.8, 100.0, 1, 3),
        ("training seconds", 1, 0.8, 2.0, 1, 3),
    ]


def test_uncounted_networks_have_no_front_of_multiplications(builder):
    builder.both("a", point={"seed": 0}, live_macs=100)
    builder.both("b", point={"seed": 1})
    assert table(builder.write())["cost"].to_list() == ["density"]


def test_machines_are_not_mixed_and_shared_training_is_not_timed(builder):
    builder.both("a", point={"seed": 0}, device="cpu", train_seconds=8.0)
    builder.both("b", point={"seed": 1}, device="cuda", train_seconds=1.0)
    builder.both("c", point={"seed": 2}, device="cpu", threads=4, train_seconds=3.0)
    levels = {"pruner": "imp", "pre_epochs": 5, "levels": 3, "rewind": "weights"}
    builder.both("d", point=levels, train_seconds=1.0)
    rows = table(builder.write()).filter(cost="training seconds").select("machine", "curve", "value").rows()
    assert rows == [("cpu", "synflow", 8.0), ("cpu, 4 threads", "synflow", 3.0), ("cuda", "synflow", 1.0)]


def test_the_figure_is_drawn_and_leaves_out_only_what_has_no_place_on_the_axis(builder):
    fill(builder)
    builder.both("cut", point={"density": 0.001}, final_test_accuracy=0.1, live_macs=0)
    found = table(builder.write())
    spec = pareto.plot(found).to_dict()
    assert [len(spec["datasets"][part["data"]["name"]].splitlines()) - 1 for part in spec["concat"]] == [7, 6, 6]
    assert vl_convert.vegalite_to_svg(spec, vl_version=VEGALITE).count("<path") > 19


def test_nothing_measured_gives_an_empty_table_with_its_columns(builder):
    builder.point("a")
    found = table(builder.write())
    assert found.is_empty()
    assert pareto.front(found).is_empty()
