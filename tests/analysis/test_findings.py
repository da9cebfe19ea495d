"""Sentences from literal runs: what is said, with which numbers, and when nothing is."""

import polars as pl
import pytest

from analysis import accuracy, collapse, comparisons, crossings, findings
from analysis.laws import points, prediction
from analysis.scan import scan

SPREAD = [-0.01, -0.005, 0.0, 0.005, 0.01]


class Sweep:
    """Runs of curves at densities, written to a store."""

    def __init__(self, builder):
        self.builder = builder

    def add(self, pruner, density, accuracies, *, iterations=1, **columns):
        for seed, value in enumerate(accuracies):
            point = {"pruner": pruner, "iterations": iterations, "density": density, "seed": seed}
            columns = {"num_test_images": 10_000} | columns
            name = f"{pruner}{iterations}-{density}-{seed}"
            self.builder.both(name, point=point, final_test_accuracy=value, **columns)

    def sentences(self):
        results = scan(self.builder.write()).results
        compared = comparisons.table(results).collect()
        return findings.sentences(
            accuracy.table(results).collect(),
            collapse.shares(results).collect(),
            compared,
            crossings.table(compared),
            prediction.predictions(points.table(results).collect()),
        )


@pytest.fixture
def sweep(builder):
    return Sweep(builder)


def around(mean, spread=SPREAD):
    return [mean + offset for offset in spread]


def test_a_lead_over_every_other_pruner_is_said_with_its_numbers(sweep):
    sweep.add("synflow", 0.1, around(0.9), iterations=100)
    sweep.add("snip", 0.1, around(0.9, [0.01, -0.01, 0.005, -0.005, 0.0]))
    for density, lead in ((0.01, 0.2), (0.001, 0.3)):
        sweep.add("synflow", density, around(0.8), iterations=100)
        sweep.add("snip", density, around(0.8 - lead, [0.0] * 5))
        sweep.add("random", density, around(0.3, [0.0] * 5))
    found = sweep.sentences()
    # the difference is 0.2 + SPREAD: deviation sqrt(2.5e-4 / 4) = 0.0079057, its error 0.0035355. Seven comparisons;
    # snip is ahead of random by 20 and 20 points without any scatter but that of rounding, so those p are the smallest
    assert found[0].startswith(
        "mlp: synflow (100 rounds) is ahead of every other pruner from 99 % sparsity on. The closest is snip, 20.0 "
        "points behind at 99 % (95 % interval 1"
    )
    assert found[0].endswith(" corrected for 7 comparisons, n = 5).")


def test_one_comparison_needs_no_correction(sweep):
    sweep.add("synflow", 0.01, around(0.8))
    sweep.add("snip", 0.01, [0.6] * 5)
    # t(0.975, 4) = 2.776445 x 0.0035355 = 0.0098162
    assert sweep.sentences()[0] == (
        "mlp: synflow is ahead of every other pruner at 99 % sparsity. The closest is snip, 20.0 points behind at 99 % "
        "(95 % interval 19.0 to 21.0, n = 5)."
    )


def test_four_runs_do_not_make_a_lead(sweep):
    sweep.add("synflow", 0.01, around(0.8)[:4])
    sweep.add("snip", 0.01, [0.6] * 4)
    assert sweep.sentences() == [
        "mlp: at 99 % sparsity no pruner is ahead of every other. synflow has the highest mean accuracy, 79.8 % (95 % "
        "interval 78.7 to 80.8, n = 4); snip has 60.0 % (95 % interval 60.0 to 60.0, n = 4), and fewer than 5 paired "
        "runs tell nothing (n = 4). Guessing gives 10.0 %."
    ]


def test_an_interval_that_holds_zero_is_no_lead(sweep):
    sweep.add("synflow", 0.01, [0.80, 0.82, 0.78, 0.81, 0.79])
    sweep.add("snip", 0.01, [0.79, 0.79, 0.80, 0.79, 0.80])
    # differences 0.01, 0.03, -0.02, 0.02, -0.01: mean 0.006, deviation 0.0207364, margin 2.776445 x 0.0092736
    (sentence,) = sweep.sentences()
    assert "no pruner is ahead of every other. synflow has the highest mean accuracy, 80.0 %" in sentence
    assert "paired difference 0.6 points (95 % interval −2.0 to 3.2, n = 5). Guessing" in sentence


def test_a_lead_over_all_but_one_is_no_lead_over_every_other(sweep):
    sweep.add("synflow", 0.01, around(0.8))
    sweep.add("snip", 0.01, [0.6] * 5)
    sweep.add("random", 0.01, [0.7] * 4)
    (sentence,) = sweep.sentences()
    assert "no pruner is ahead of every other" in sentence
    assert (
        "random has 70.0 % (95 % interval 70.0 to 70.0, n = 4), and fewer than 5 paired runs tell nothing" in sentence
    )


def test_one_pruner_is_compared_with_nobody(sweep):
    sweep.add("synflow", 0.01, around(0.8))
    assert sweep.sentences() == [
        "mlp: at 99 % sparsity, synflow has a mean accuracy of 80.0 % (95 % interval 79.0 to 81.0, n = 5). "
        "Guessing gives 10.0 %."
    ]


def test_two_stretches_of_leads_are_two_sentences(sweep):
    for density, better, worse in ((0.1, "snip", "random"), (0.01, "random", "snip"), (0.001, "random", "snip")):
        sweep.add(better, density, around(0.8))
        sweep.add(worse, density, [0.6] * 5)
    found = sweep.sentences()
    assert found[0].startswith("mlp: random is ahead of every other pruner from 99 % sparsity on.")
    assert found[-1].startswith("mlp: snip is ahead of every other pruner at 90 % sparsity.")


def test_a_stretch_that_ends_before_the_grid_does(sweep):
    for density in (0.1, 0.01):
        sweep.add("snip", density, around(0.8))
        sweep.add("random", density, [0.6] * 5)
    sweep.add("snip", 0.001, [0.1] * 5)
    sweep.add("random", 0.001, [0.1] * 5)
    assert sweep.sentences()[0].startswith("mlp: snip is ahead of every other pruner from 90 % to 99 % sparsity.")


def test_a_crossing_is_said_with_its_interval(sweep):
    for density, difference in ((0.1, 0.1), (0.01, -0.3)):
        sweep.add("snip", density, around(0.5 + difference))
        sweep.add("random", density, [0.5] * 5)
    # the mean is zero a quarter of a decade after 90 %; Fieller's ends: margin 0.0098162 / 0.4 a decade to either side
    expected = (
        "mlp: random overtakes snip at 94.4 % sparsity (95 % interval 94 % to 94.7 %, n = 5): 10.0 points behind at "
        "90 %, 30.0 ahead at 99 %."
    )
    assert expected in sweep.sentences()


def test_who_keeps_every_layer_and_who_goes_furthest(sweep):
    sweep.add("synflow", 1.0, [0.98] * 2)
    for seed in range(2):
        sweep.builder.point(f"synflow1-1.0-{seed}", density=1.0, seed=seed, pruner="magnitude")
    sweep.add("synflow", 0.0001, [0.975] * 2)
    sweep.add("magnitude", 0.0001, [0.1] * 2, collapsed_layers=1)
    assert sweep.sentences() == [
        "At 99.99 % sparsity, every layer of mlp stays alive with synflow in 2 of 2 runs; "
        "layers collapse with magnitude in 2 of 2.",
        "mlp: at 99.99 % sparsity no pruner is ahead of every other. synflow has the highest mean accuracy, 97.5 % "
        "(95 % interval 97.5 to 97.5, n = 2); magnitude has 10.0 % (95 % interval 10.0 to 10.0, n = 2), and fewer than "
        "5 paired runs tell nothing (n = 2). Guessing gives 10.0 %.",
        "mlp: the sparsest networks within one point of the dense 98.0 % (n = 2) are at 99.99 % sparsity, "
        "from synflow (n = 2).",
    ]


def test_collapse_is_looked_at_where_pruners_differ(sweep):
    for pruner, density, count in (("synflow", 0.01, 0), ("snip", 0.01, 1), ("synflow", 0.001, 1), ("snip", 0.001, 1)):
        sweep.add(pruner, density, [0.9], collapsed_layers=count)
    assert sweep.sentences()[0] == (
        "At 99 % sparsity, every layer of mlp stays alive with synflow in 1 of 1 runs; "
        "layers collapse with snip in 1 of 1."
    )


def test_predictions_are_summed_over_families():
    held_out = pl.DataFrame(
        {
            "dataset_label": ["d"] * 4,
            "family": ["net"] * 4,
            "training_label": [""] * 4,
            "curve": ["snip", "snip", "random", "random"],
            "num_fitted": [6, 6, 7, 7],
            "relative_error": [0.01, 0.03, -0.01, 0.01],
            "is_inside": [True, False, True, True],
        }
    )
    # mean 0.01, deviation sqrt((0 + 4 + 4 + 0) e-4 / 3)
    assert list(findings._predicted(held_out)) == [
        "The joint law of density, width and depth, fitted to 13 of 17 mean errors, predicts the others with a "
        "relative error of 1.0 % (standard deviation 1.6 %); 3 of 4 lie in their 95 % interval."
    ]


def test_rounds_stand_where_a_label_leaves_them_out(sweep):
    sweep.add("synflow", 0.01, around(0.8), iterations=100)
    sweep.add("snip", 0.01, [0.6] * 5)
    assert sweep.sentences()[0].startswith("mlp: synflow (100 rounds) is ahead")


def test_there_are_at_most_eight_and_every_kind_has_a_turn(sweep):
    for number in range(9):
        for density, low in ((0.1, 0.5), (0.01, 0.1)):
            for pruner, values in (("snip", around(0.8)), ("random", [low] * 5)):
                for seed, value in enumerate(values):
                    point = {"model": f"m{number}", "pruner": pruner, "density": density, "seed": seed}
                    sweep.builder.both(
                        f"{number}{pruner}{density}{seed}",
                        point=point,
                        final_test_accuracy=value,
                        collapsed_layers=int(low == 0.1 and pruner == "random"),
                    )
    found = sweep.sentences()
    assert len(found) == 8
    assert sum("is ahead" in sentence for sentence in found[:2]) == 2
    assert sum("stays alive" in sentence for sentence in found[2:4]) == 2
