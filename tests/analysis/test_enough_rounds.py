import math

import numpy as np
import polars as pl
import pytest
import vl_convert

from analysis import enough_rounds
from analysis.report.section import VEGALITE
from analysis.scan import scan


def fill(builder, collapsed, **point):
    """Trials by (density, iterations, seed) with a number of collapsed layers; None: missing, "failed": it did."""
    for (density, iterations, seed), layers in collapsed.items():
        trial_id = f"{density}-{iterations}-{seed}-{point}"
        builder.point(trial_id, density=density, iterations=iterations, seed=seed, **point)
        if layers == "failed":
            builder.trial(trial_id, error=("ValueError", "no"))
        elif layers is not None:
            builder.trial(trial_id, collapsed_layers=layers)
    return scan(builder.write()).results


GRID = {
    (0.1, 1, 0): 0, (0.1, 10, 0): 0, (0.1, 100, 0): 0,
    (0.01, 1, 0): 1, (0.01, 10, 0): 0, (0.01, 100, 0): 0,
    (0.001, 1, 0): 1, (0.001, 10, 0): 2, (0.001, 100, 0): 1,
}  # fmt: skip


def test_the_least_number_lies_between_two_of_the_grid_or_beyond_an_end(builder):
    results = fill(builder, GRID)
    columns = ["density", "low_rounds", "high_rounds", "is_monotone"]
    rows = enough_rounds.networks(results).sort("density", descending=True).select(columns).collect().rows()
    assert rows == [
        (0.1, None, 1, True),  # the fewest tried are enough
        (0.01, 1, 10, True),
        (0.001, 100, None, True),  # none is
    ]


def test_more_rounds_that_collapse_again_are_counted(builder):
    results = fill(builder, {(0.1, 1, 0): 1, (0.1, 10, 0): 0, (0.1, 30, 0): 1, (0.1, 100, 0): 0})
    row = enough_rounds.table(results).collect().row(0, named=True)
    assert (row["median_low"], row["median_high"], row["num_not_monotone"]) == (1.0, pytest.approx(10), 1)


def test_missing_and_failed_numbers_widen_the_bounds_and_are_counted(builder):
    results = fill(
        builder,
        {(0.1, 1, 0): 1, (0.1, 10, 0): "failed", (0.1, 100, 0): 0, (0.1, 1, 1): None, (0.1, 10, 1): "failed"},
    )
    row = enough_rounds.table(results).collect().row(0, named=True)
    assert (row["n"], row["median_low"], row["median_high"]) == (1, 1.0, pytest.approx(100))
    assert (row["num_absent"], row["num_points_absent"]) == (1, 3)


def test_medians_are_of_decades_and_open_where_most_are(builder):
    # at 0.1: bounds (none, 1], (1, 10], (10, 100]; at 0.01: (100, none), (100, none), (10, 100]
    results = fill(
        builder,
        {
            (0.1, 1, 0): 0, (0.1, 10, 0): 0, (0.1, 100, 0): 0,
            (0.1, 1, 1): 1, (0.1, 10, 1): 0, (0.1, 100, 1): 0,
            (0.1, 1, 2): 1, (0.1, 10, 2): 1, (0.1, 100, 2): 0,
            (0.01, 1, 0): 1, (0.01, 10, 0): 1, (0.01, 100, 0): 1,
            (0.01, 1, 1): 1, (0.01, 10, 1): 1, (0.01, 100, 1): 1,
            (0.01, 1, 2): 1, (0.01, 10, 2): 1, (0.01, 100, 2): 0,
        },
    )  # fmt: skip
    columns = ["n", "median_low", "median_high", "num_enough_at_once", "num_never"]
    assert enough_rounds.table(results).select(columns).collect().rows() == [
        (3, 1.0, pytest.approx(10), 1, 0),
        (3, pytest.approx(100), None, 0, 2),
    ]


def test_pruners_with_one_number_of_rounds_and_dense_networks_have_no_part(builder):
    fill(builder, {(0.1, 1, 0): 1}, pruner="magnitude")
    results = fill(builder, {(1.0, 1, 0): 0, (1.0, 10, 0): 0, (0.1, 1, 0): 1, (0.1, 10, 0): 0})
    rows = enough_rounds.table(results).select("method", "curve", "density").collect().rows()
    assert rows == [("synflow", "synflow, 10 rounds", 0.1)]


def test_networks_with_the_same_bounds_are_one_observation(builder):
    results = fill(builder, GRID | {(density, rounds, 1): layers for (density, rounds, _), layers in GRID.items()})
    columns = ["density", "low_rounds", "high_rounds", "num_networks"]
    assert enough_rounds.observations(results).select(columns).collect().rows() == [
        (0.1, None, 1, 2),
        (0.01, 1, 10, 2),
        (0.001, 100, None, 2),
    ]


def observed(rows):
    """Observations as collected: (density, low, high, networks)."""
    columns = ["density", "low_rounds", "high_rounds", "num_networks"]
    key = {"dataset_label": "digits", "model_label": "mlp", "method": "synflow"}
    return pl.DataFrame([key | dict(zip(columns, row, strict=True)) for row in rows], infer_schema_length=None)


def test_a_known_law_is_recovered_within_its_interval():
    # rounds = 0.5 * compression^0.6, with a scatter of 0.1 decades, on a grid of two numbers a decade
    generator = np.random.default_rng(6)
    grid = [1, 3, 10, 30, 100, 300]
    rows = []
    for exponent in np.arange(0.5, 4.6, 0.25):
        for _ in range(5):
            rounds = 0.5 * 10 ** (0.6 * exponent + generator.normal(0, 0.1))
            enough = [tried for tried in grid if tried >= rounds]
            few = [tried for tried in grid if tried < rounds]
            rows.append((10.0**-exponent, few[-1] if few else None, enough[0] if enough else None, 1))
    law = enough_rounds.laws(observed(rows)).row(0, named=True)
    assert law["exponent_low"] < 0.6 < law["exponent_high"]
    assert law["exponent_high"] - law["exponent_low"] < 0.1
    expected = 0.5 * law["compression_at_centre"] ** 0.6
    assert law["rounds_low"] < expected < law["rounds_high"]
    assert law["scatter_decades"] == pytest.approx(0.1, abs=0.04)
    assert law["refused"] is None
    assert law["num_bounded"] + law["num_left_censored"] + law["num_right_censored"] == len(rows)


def test_a_law_needs_three_sparsities_with_bounds_on_both_sides():
    law = enough_rounds.laws(
        observed([(0.1, None, 1, 5), (0.01, 1, 10, 5), (0.001, 10, 100, 5), (0.0001, 100, None, 5)])
    )
    row = law.row(0, named=True)
    assert (row["exponent"], row["rounds_at_centre"]) == (None, None)
    assert (row["num_bounded"], row["num_left_censored"], row["num_right_censored"]) == (10, 5, 5)
    assert row["refused"] == (
        "no law: the least number of rounds is bounded on both sides at 2 sparsities, and it takes 3; "
        "try more numbers of rounds between those that collapse and those that do not"
    )


def test_no_observations_give_no_law(tmp_path):
    law = enough_rounds.laws(enough_rounds.observations(scan(tmp_path).results).collect())
    assert law.is_empty()
    assert "exponent" in law.columns


def test_rows_carry_what_the_law_says(builder):
    grid = {
        (10.0**-k, rounds, 0): int(rounds < 2 * 10 ** (k / 2))
        for k in (1, 2, 3, 4)
        for rounds in (1, 3, 10, 30, 100, 300)
    }
    results = fill(builder, grid)
    rows, seen = pl.collect_all([enough_rounds.table(results), enough_rounds.observations(results)])
    law = enough_rounds.laws(seen)
    fitted = enough_rounds.fitted(rows, law)
    constants = law.row(0, named=True)
    assert fitted["law_rounds"].to_list() == pytest.approx(
        [
            constants["rounds_at_centre"] * (ratio / constants["compression_at_centre"]) ** constants["exponent"]
            for ratio in (10, 100, 1000, 10_000)
        ]
    )
    assert math.isclose(constants["compression_at_centre"], 10**2.5)
    svg = vl_convert.vegalite_to_svg(enough_rounds.plot(fitted).to_dict(), vl_version=VEGALITE)
    assert svg.count('aria-roledescription="rule mark"') == 4
    assert svg.count('aria-roledescription="line mark"') == 1
