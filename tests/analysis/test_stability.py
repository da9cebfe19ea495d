"""Falls and recoveries, by hand."""

from __future__ import annotations

import math

import pytest
import vl_convert

from analysis import stability
from analysis.report.section import VEGALITE
from analysis.scan import scan

IMP = {"pruner": "imp", "pre_epochs": 3, "levels": 2, "rewind": "weights", "density": 0.25}


def epochs(*levels, first=1, loss=0.5):
    """Accuracies of each level's epochs."""
    return [
        {"level": level, "epoch": first + number, "test_accuracy": accuracy, "test_loss": loss}
        for level, accuracies in enumerate(levels)
        for number, accuracy in enumerate(accuracies)
    ]


ROUNDS = [{"density": 0.5}, {"density": 0.25}]


def table(root):
    store = scan(root)
    return stability.table(store.results, store.epochs, store.rounds).collect()


def test_drops_and_recoveries_by_hand(builder):
    a = epochs([0.5, 0.8], [0.6, 0.7, 0.8], [0.4, 0.5, 0.6])
    b = epochs([0.5, 0.9], [0.8, 0.9, 0.7], [0.7, 0.6, 0.6])
    builder.both("a", point={**IMP, "seed": 0}, epochs=a, rounds=ROUNDS)
    builder.both("b", point={**IMP, "seed": 1}, epochs=b, rounds=ROUNDS)
    first, second = table(builder.write()).to_dicts()
    assert (first["level"], first["level_density"], first["n"]) == (1, 0.5, 2)
    assert (first["mean_before"], first["mean_after"]) == (pytest.approx(0.85), pytest.approx(0.7))
    assert first["mean_drop"] == pytest.approx(0.15)
    # drops 0.2 and 0.1: s = 0.05 sqrt(2); t(0.975, 1) = 12.7062
    assert first["drop_high"] - first["mean_drop"] == pytest.approx(12.7062 * 0.05, abs=1e-5)
    assert (first["num_recovered"], first["mean_epochs_to_recover"]) == (2, 2.5)
    assert (second["level"], second["level_density"]) == (2, 0.25)
    assert second["mean_drop"] == pytest.approx((0.4 + 0.0) / 2)
    assert (second["num_recovered"], second["mean_epochs_to_recover"]) == (1, 1.0)


def test_epochs_are_counted_from_where_the_level_began(builder):
    rows = epochs([0.8], first=3) + [
        {"level": 1, "epoch": epoch, "test_accuracy": accuracy, "test_loss": 1.0}
        for epoch, accuracy in ((6, 0.9), (4, 0.5), (5, 0.8))
    ]
    tuned = {**IMP, "levels": 1, "rewind": "none", "fine_tune_epochs": 3}
    builder.both("a", point=tuned, epochs=rows, rounds=[{"density": 0.5}, {"density": 0.25}])
    (row,) = table(builder.write()).to_dicts()
    assert (row["mean_before"], row["mean_after"], row["mean_epochs_to_recover"]) == (0.8, 0.5, 2.0)
    assert row["level_density"] == 0.25  # of the level's last round


def test_what_is_not_finite_failed_or_missing_is_counted_and_in_no_mean(builder):
    builder.both("a", point={**IMP, "seed": 0}, epochs=epochs([0.8], [0.6], [0.5]), rounds=ROUNDS)
    spike = epochs([0.8], [0.1], [0.5])
    spike[1]["test_loss"] = math.inf
    builder.both("b", point={**IMP, "seed": 1}, epochs=spike, rounds=ROUNDS)
    builder.both("c", point={**IMP, "seed": 2}, epochs=epochs([0.1], [0.1]), final_test_loss=math.nan)
    builder.both("d", point={**IMP, "seed": 3}, epochs=epochs([0.1]), error=("ValueError", "no"))
    builder.point("e", **IMP, seed=4)
    columns = ["level", "n", "mean_before", "mean_after", "num_not_finite", "num_left_out"]
    assert table(builder.write()).select(columns).rows() == [(1, 1, 0.8, 0.6, 1, 3), (2, 1, 0.6, 0.5, 1, 3)]


def test_pruning_at_initialisation_has_no_before(builder):
    builder.both("a", point={}, epochs=epochs([], [0.5, 0.6]))
    assert table(builder.write()).is_empty()


def test_without_rounds_the_drop_is_known_and_its_density_is_not(builder):
    builder.both("a", point=IMP, epochs=epochs([0.8], [0.6], [0.5]))
    assert table(builder.write())["level_density"].to_list() == [None, None]


def test_a_page_shows_the_way_to_the_sparsest_network_alone(builder):
    builder.both("a", point=IMP, epochs=epochs([0.8], [0.6], [0.5]), rounds=ROUNDS)
    half = {**IMP, "levels": 1, "density": 0.5}
    builder.both("b", point=half, epochs=epochs([0.8], [0.6]), rounds=ROUNDS[:1])
    found = table(builder.write())
    both = found.with_columns(curve=found["curve"].replace(dict.fromkeys(found["curve"], "imp")))
    assert stability.deepest(both.lazy()).collect().select("density", "level").rows() == [(0.25, 1), (0.25, 2)]


def swings(root):
    store = scan(root)
    return stability.swings(store.results, store.epochs, store.rounds).collect()


def test_the_largest_fall_of_a_moving_mask_by_hand(builder):
    rows = {
        0: [0.2, 0.6, 0.5, 0.7, 0.4],  # falls by 0.3 in epoch 5
        1: [0.3, 0.2, 0.6, 0.6, 0.7],  # by 0.1 in epoch 2
    }
    for seed, accuracies in rows.items():
        builder.both(
            f"g{seed}",
            point={"pruner": "gmp", "seed": seed},
            epochs=epochs([], accuracies),
            rounds=[{"density": 0.5}, {"density": 0.2}, {"density": 0.1}],
        )
    builder.both("f", point={"pruner": "gmp", "seed": 2}, error=("ValueError", "no"))
    builder.both("s", point={"pruner": "synflow"}, epochs=epochs([], [0.9, 0.1]))
    (row,) = swings(builder.write()).to_dicts()
    assert (row["curve"], row["n"], row["num_left_out"]) == ("gmp", 2, 1)
    assert row["mean_largest_fall"] == pytest.approx(0.2)
    assert row["fall_high"] - 0.2 == pytest.approx(12.7062 * 0.1, abs=1e-5)
    assert (row["mean_fall_epoch"], row["mean_mask_changes"]) == (3.5, 3.0)


def test_training_that_only_rose_fell_by_nothing_and_one_evaluation_says_nothing(builder):
    builder.both("a", point={"pruner": "set", "seed": 0}, epochs=epochs([], [0.2, 0.6]))
    builder.both("b", point={"pruner": "set", "seed": 1}, epochs=epochs([], [0.2]))
    (row,) = swings(builder.write()).to_dicts()
    assert (row["n"], row["num_left_out"], row["mean_largest_fall"], row["mean_fall_epoch"]) == (1, 1, 0.0, None)
    assert row["mean_mask_changes"] is None


def test_the_figure_is_drawn(builder):
    builder.both("a", point=IMP, epochs=epochs([0.8], [0.6], [0.5]), rounds=ROUNDS)
    image = vl_convert.vegalite_to_svg(stability.plot(table(builder.write())).to_dict(), vl_version=VEGALITE)
    assert image.count('aria-roledescription="rule mark"') == 2
