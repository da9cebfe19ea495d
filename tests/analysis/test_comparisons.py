"""Differences of curves on the same seeds, and who is ahead of whom."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from analysis import comparisons, differences
from tests.analysis.drawn import drawn_rows
from tests.analysis.runs import results

SNIP = [0.90, 0.91, 0.93, 0.92, 0.89]
SYNFLOW = [0.94, 0.93, 0.96, 0.96, 0.91]  # snip - synflow: -0.04, -0.02, -0.03, -0.04, -0.02


def runs_of(curve, accuracies, **columns):
    return [
        {"curve": curve, "seed": seed, "final_test_accuracy": value} | columns for seed, value in enumerate(accuracies)
    ]


def only(frame):
    assert frame.height == 1
    return frame.row(0, named=True)


def compared(runs):
    return comparisons.table(results(runs)).collect()


def test_moments_of_paired_differences():
    row = only(differences.table(results(runs_of("synflow", SYNFLOW) + runs_of("snip", SNIP))).collect())
    assert (row["curve"], row["other_curve"], row["n"], row["num_dropped"]) == ("snip", "synflow", 5, 0)
    assert row["mean_difference"] == pytest.approx(-0.03)
    assert row["deviation"] == pytest.approx(0.01)  # deviations -0.01, 0.01, 0, -0.01, 0.01: sqrt(4e-4 / 4)


def test_interval_p_value_and_effect_size_of_five_pairs():
    row = only(compared(runs_of("snip", SNIP) + runs_of("synflow", SYNFLOW)))
    # t(0.975, 4) = 2.776445 from a printed table; t = -0.03 / (0.01 / sqrt 5)
    half = 2.776445 * 0.01 / math.sqrt(5)
    assert (row["interval_low"], row["interval_high"]) == pytest.approx((-0.03 - half, -0.03 + half), abs=1e-8)
    assert row["effect_size"] == pytest.approx(-3.0)
    expected = stats.ttest_rel(SNIP, SYNFLOW).pvalue
    assert row["p_value"] == pytest.approx(expected, rel=1e-9)
    # one comparison: nothing to correct
    assert (row["num_comparisons"], row["ahead"]) == (1, -1)
    assert row["corrected_p"] == pytest.approx(expected, rel=1e-9)
    assert (row["corrected_low"], row["corrected_high"]) == pytest.approx((row["interval_low"], row["interval_high"]))


def test_four_pairs_are_silent():
    row = only(compared(runs_of("snip", SNIP[:4]) + runs_of("synflow", SYNFLOW[:4])))
    assert (row["n"], row["num_comparisons"]) == (4, 0)
    assert row["mean_difference"] == pytest.approx(-0.0325)
    silent = ["standard_error", "interval_low", "interval_high", "effect_size", "p_value", "corrected_p", "ahead"]
    assert [row[name] for name in silent] == [None] * len(silent)


def test_a_seed_that_failed_for_one_curve_is_dropped_and_counted():
    snip = runs_of("snip", SNIP)
    for seed, outcome in ((1, "failed"), (2, "diverged"), (3, "missing")):
        snip[seed] |= {"outcome": outcome, "final_test_accuracy": 0.0 if outcome == "diverged" else None}
    row = only(compared(snip + runs_of("synflow", SYNFLOW)))
    assert (row["n"], row["num_dropped"], row["ahead"]) == (2, 3, None)
    assert row["mean_difference"] == pytest.approx(-0.03)  # seeds 0 and 4


def test_an_accuracy_that_is_no_number_is_dropped_and_counted():
    row = only(compared(runs_of("snip", [*SNIP[:4], float("nan")]) + runs_of("synflow", SYNFLOW)))
    assert (row["n"], row["num_dropped"]) == (4, 1)
    assert row["mean_difference"] == pytest.approx(-0.0325)


def test_several_trials_of_one_seed_count_once():
    """As where two stores hold trials of one configuration."""
    twice = [*runs_of("snip", SNIP), *runs_of("snip", [value + 0.02 for value in SNIP])]
    row = only(compared(twice + runs_of("synflow", SYNFLOW)))
    assert (row["n"], row["mean_difference"]) == (5, pytest.approx(-0.02))


def test_a_seed_that_was_planned_for_one_curve_alone_is_no_pair():
    row = only(compared(runs_of("snip", SNIP[:2]) + runs_of("synflow", SYNFLOW)))
    assert (row["n"], row["num_dropped"]) == (2, 0)


def test_collapsed_networks_stay_in_and_are_counted():
    snip = runs_of("snip", [0.1, 0.1, 0.9, 0.1, 0.9])
    for seed in (0, 1, 3):
        snip[seed]["collapsed_layers"] = 1
    row = only(compared(snip + runs_of("synflow", [0.9] * 5)))
    assert (row["n"], row["num_collapsed"], row["num_other_collapsed"]) == (5, 3, 0)
    assert row["mean_difference"] == pytest.approx(-0.48)


def test_points_that_are_one_trial_are_no_comparison():
    shared = [{"trial_id": f"dense{seed}"} for seed in range(5)]
    snip = [run | trial for run, trial in zip(runs_of("snip", SNIP, density=1.0), shared, strict=True)]
    other = [run | {"curve": "grasp"} for run in snip]
    assert compared(snip + other).is_empty()
    mixed = compared([*snip, *other[:4], runs_of("grasp", [0.5] * 5, density=1.0)[4]])
    assert (only(mixed)["n"], only(mixed)["num_same"]) == (1, 4)


def test_no_difference_at_all_has_p_one_and_nobody_ahead():
    row = only(compared(runs_of("snip", [0.1] * 5) + runs_of("synflow", [0.1] * 5)))
    assert (row["mean_difference"], row["p_value"], row["corrected_p"], row["ahead"]) == (0.0, 1.0, 1.0, 0)
    assert row["effect_size"] == 0.0


def test_equal_differences_are_judged_by_the_rounding_of_accuracies():
    # 500 images: half an image of rounding; a difference of one image says nothing, one of 80 points does
    rows = compared(
        runs_of("a", [0.902] * 5, num_test_images=500)
        + runs_of("b", [0.900] * 5, num_test_images=500)
        + runs_of("c", [0.100] * 5, num_test_images=500)
    )
    error = 1 / (500 * math.sqrt(6) * math.sqrt(5))
    assert rows["standard_error"].to_list() == pytest.approx([error] * 3)
    assert rows["p_value"][0] == pytest.approx(2 * stats.t.sf(0.002 / error, 4))
    assert rows["p_value"].is_finite().all()
    assert rows.select("curve", "other_curve", "ahead").rows() == [("a", "b", 1), ("a", "c", 1), ("b", "c", 1)]


def test_holm_over_all_comparisons_of_the_table():
    generator = np.random.default_rng(1)
    base = generator.normal(0.8, 0.02, 6)
    lifts = {"a": 0.0, "b": 0.01, "c": 0.012, "d": 0.06}
    rows = compared(
        [
            run
            for curve, lift in lifts.items()
            for run in runs_of(curve, base + lift + generator.normal(0, 0.01, 6), density=0.1)
        ]
        + runs_of("a", [0.8] * 4, density=0.01)
        + runs_of("b", [0.9] * 4, density=0.01)
    )
    p = rows["p_value"].drop_nulls().to_numpy()
    assert len(p) == 6
    assert rows["num_comparisons"].unique().to_list() == [6]
    order = np.argsort(p)
    expected = np.empty(6)
    smallest = 0.0
    for place, index in enumerate(order):
        smallest = max(smallest, (6 - place) * p[index])
        expected[index] = min(1.0, smallest)
    tested = rows.drop_nulls("p_value")
    assert tested["corrected_p"].to_list() == pytest.approx(expected.tolist())
    assert 0 < (tested["ahead"] != 0).sum() < 6
    # the corrected interval says the same as the corrected p
    excludes_zero = (tested["corrected_low"] > 0) | (tested["corrected_high"] < 0)
    assert excludes_zero.to_list() == (tested["corrected_p"] < 0.05).to_list()
    assert (rows["corrected_p"].null_count(), rows["ahead"].null_count()) == (1, 1)


def test_equal_p_values_are_corrected_alike():
    rows = compared([run for curve in "abc" for run in runs_of(curve, [0.5] * 5)])
    assert rows["corrected_p"].to_list() == [1.0, 1.0, 1.0]


def test_true_nulls_are_rarely_called_leads():
    """300 families of six true nulls: at most 5 % may contain a lead."""
    generator = np.random.default_rng(7)
    families = 300
    panels = [
        comparisons.table(
            results(
                {"curve": curve, "seed": seed, "final_test_accuracy": value}
                for curve in "abcd"
                for seed, value in enumerate(generator.normal(0.8, 0.02, 5))
            )
        ).select((pl.col("ahead") != 0).any())
        for _ in range(families)
    ]
    wrong = sum(frame.item() for frame in pl.collect_all(panels))
    assert stats.binomtest(wrong, families, 0.05, alternative="greater").pvalue > 0.001


def test_standings_count_leads_on_both_sides():
    rows = compared(
        runs_of("a", [0.5, 0.5, 0.5, 0.5, 0.5])
        + runs_of("b", [0.9, 0.9, 0.9, 0.9, 0.9])
        + runs_of("c", [0.5, 0.5, 0.5, 0.5, 0.5])
        + runs_of("d", [0.7, 0.7])
    )
    table = comparisons.standings(rows.lazy()).collect()
    columns = ["curve", "num_others", "num_ahead", "num_behind", "num_even", "num_silent", "n"]
    assert table.select(columns).rows() == [
        ("a", 3, 0, 1, 1, 1, 5),
        ("b", 3, 2, 0, 0, 1, 5),
        ("c", 3, 0, 1, 1, 1, 5),
        ("d", 3, 0, 0, 0, 3, None),
    ]


def test_the_chart_says_ahead_of_how_many_and_behind_how_many():
    rows = compared(runs_of("a", [0.5] * 5) + runs_of("b", [0.9] * 5) + runs_of("c", [0.7] * 5))
    rows = pl.concat([rows, compared(runs_of("a", [0.5] * 4, density=0.01) + runs_of("b", [0.9] * 4, density=0.01))])
    spec = comparisons.plot(comparisons.standings(rows.lazy()).collect()).to_dict()
    assert [(row["curve"], row["cell_text"], row["compression_ratio"]) for row in drawn_rows(spec)] == [
        ("a", "−2", 10.0),
        ("b", "+2", 10.0),
        ("c", "+1 −1", 10.0),
    ]
    assert [row["cell_opacity"] for row in drawn_rows(spec)] == pytest.approx([0.1, 0.9, 0.5])


def test_covariance_with_the_next_density_is_that_of_the_means():
    generator = np.random.default_rng(3)
    here, there = generator.normal(0, 0.01, (2, 5))
    runs = [
        run
        for density, values in ((0.1, here), (0.01, there))
        for run in runs_of("a", 0.8 + values, density=density) + runs_of("b", [0.8] * 5, density=density)
    ]
    assert differences.table(results(runs)).collect()["next_covariance"].to_list() == [
        pytest.approx(np.cov(here, there)[0, 1] / 5),
        None,
    ]
    runs[0]["outcome"] = "failed"  # seed 0 at density 0.1: four and five seeds, four of them shared
    expected = np.sum((here[1:] - here[1:].mean()) * (there[1:] - there.mean())) / 3 * 4 / (4 * 5)
    assert differences.table(results(runs)).collect()["next_covariance"][0] == pytest.approx(expected)


def test_ragged_grids_against_brute_force():
    """Two panels, curves with densities and seeds of their own, a fifth of the runs without a result."""
    generator = np.random.default_rng(13)
    runs = [
        {
            "model_label": model,
            "curve": curve,
            "density": density,
            "seed": seed,
            "final_test_accuracy": generator.random(),
            "outcome": generator.choice(["completed", "failed"], p=[0.8, 0.2]),
        }
        for model in ("mlp", "convnet")
        for curve in "abcd"
        for density in generator.choice([0.5, 0.1, 0.05, 0.01], 3, replace=False)
        for seed in generator.choice(12, 9, replace=False)
    ]
    expected: dict[tuple[Any, ...], list[float | None]] = {}
    for one in runs:
        for other in runs:
            same_place = all(one[name] == other[name] for name in ("model_label", "density", "seed"))
            if same_place and one["curve"] < other["curve"]:
                key = (one["model_label"], one["curve"], other["curve"], float(one["density"]))
                done = one["outcome"] == other["outcome"] == "completed"
                difference = one["final_test_accuracy"] - other["final_test_accuracy"] if done else None
                expected.setdefault(key, []).append(difference)
    table = differences.table(results(runs)).collect()
    found = {
        key: values
        for *columns, n, dropped, mean, deviation in table.select(
            "model_label", "curve", "other_curve", "density", "n", "num_dropped", "mean_difference", "deviation"
        ).rows()
        for key, values in [(tuple(columns), (n, dropped, mean, deviation))]
    }
    assert set(found) == set(expected)
    for key, pairs in expected.items():
        done = [difference for difference in pairs if difference is not None]
        n, dropped, mean, deviation = found[key]
        assert (n, dropped) == (len(done), len(pairs) - len(done))
        assert mean == (pytest.approx(np.mean(done)) if done else None)
        assert deviation == (pytest.approx(np.std(done, ddof=1)) if len(done) > 1 else None)


def test_a_store_is_compared(builder):
    from analysis.scan import scan

    for seed, (snip, synflow) in enumerate(zip(SNIP, SYNFLOW, strict=True)):
        builder.both(f"s{seed}", point={"seed": seed, "pruner": "snip"}, final_test_accuracy=snip)
        builder.both(f"f{seed}", point={"seed": seed, "iterations": 100}, final_test_accuracy=synflow)
    row = only(comparisons.table(scan(builder.write()).results).collect())
    assert (row["curve"], row["other_curve"], row["rounds"], row["other_rounds"]) == ("snip", "synflow", 1, 100)
    assert row["mean_difference"] == pytest.approx(-0.03)
