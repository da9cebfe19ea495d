"""A tenth of a sweep predicts the rest, where a law is known."""

import polars as pl
import pytest

from analysis.laws import form, joint, prediction
from analysis.laws.points import FAMILY
from tests.analysis.drawn import drawn_rows
from tests.analysis.laws.families import family


def test_a_tenth_predicts_the_rest():
    points = family(relative_noise=0.02, num_densities=21)
    predicted = prediction.predictions(points)
    row = prediction.table(points, predicted).row(0, named=True)
    assert (row["num_points"], row["num_fitted"], row["num_predicted"]) == (180, 18, 162)
    assert abs(row["mean_relative_error"]) < 0.02
    assert row["deviation_relative_error"] < 0.04
    relative = predicted["predicted_error"] / predicted["measured_error"] - 1
    assert predicted["relative_error"].to_list() == pytest.approx(relative.to_list())
    inside = (predicted["predicted_low"] <= predicted["measured_error"]) & (
        predicted["measured_error"] <= predicted["predicted_high"]
    )
    assert row["coverage"] == pytest.approx(inside.mean())
    assert row["num_inside"] == inside.sum()
    assert row["refused"] is None


def test_what_is_predicted_was_not_fitted():
    """Held-out points can be anything: the law must not move."""
    points = family(relative_noise=0.02)
    predicted = prediction.predictions(points)
    keys = predicted.select("model_label", "density")
    changed = points.join(keys.with_columns(held_out=True), on=["model_label", "density"], how="left").with_columns(
        error=pl.when("held_out").then(0.5).otherwise("error")
    )
    again = prediction.predictions(changed.drop("held_out"))
    assert again["predicted_error"].to_list() == predicted["predicted_error"].to_list()
    assert set(again["measured_error"]) == {0.5}
    assert predicted.height == 117 - 12


def test_which_tenth_does_not_depend_on_the_order_of_rows():
    points = family(relative_noise=0.02)
    shuffled = points.sample(fraction=1, shuffle=True, seed=3)
    assert prediction.predictions(shuffled).equals(prediction.predictions(points))


def test_a_small_sweep_is_fitted_to_as_few_as_the_law_needs():
    points = family(widths=(1.0,), depths=(20.0,), relative_noise=0.01)
    row = prediction.table(points, prediction.predictions(points)).row(0, named=True)
    assert (row["num_points"], row["num_fitted"], row["num_predicted"]) == (13, 6, 7)


def test_a_smaller_sweep_is_refused_with_a_sentence():
    points = family(widths=(1.0,), depths=(20.0,), num_densities=10)
    predicted = prediction.predictions(points)
    row = prediction.table(points, predicted).row(0, named=True)
    assert predicted.is_empty()
    assert row["refused"] == "9 points: 6 are needed for a fit, and as many to hold against it"
    assert (row["num_fitted"], row["num_predicted"], row["coverage"]) == (None, None, None)


def test_families_are_predicted_apart():
    points = pl.concat([family(curve="one"), family(1, curve="two", relative_noise=0.02)])
    predicted = prediction.predictions(points)
    assert predicted.group_by(FAMILY).len().height == 2
    one = predicted.filter(curve="one")
    assert one.equals(prediction.predictions(points.filter(curve="one")))
    assert one["relative_error"].abs().max() < 1e-3


def test_nothing_to_predict_is_an_empty_table():
    points = family().head(0)
    predicted = prediction.predictions(points)
    assert predicted.is_empty()
    assert prediction.table(points, predicted).is_empty()


def test_intervals_cover_new_measurements_as_often_as_they_say():
    """60 sweeps: on average, 95 % of what was held out is inside; points of one sweep share its fit's luck."""
    shares = []
    for seed in range(60):
        points = family(seed, relative_noise=0.03, num_densities=21)
        shares.append(prediction.table(points, prediction.predictions(points))["coverage"].item())
    mean = sum(shares) / len(shares)
    assert 0.92 < mean < 0.985, mean


def test_a_network_that_was_not_fitted_has_a_wider_interval():
    points = family(relative_noise=0.03)
    used = joint.usable(points)
    law = joint.fit(used.filter(pl.col("model_label") != "1.0x20.0"))
    of_unknown = form.Networks.of(used.filter(model_label="1.0x20.0"))
    known = joint.fit(used).predict(of_unknown)
    error, low, high = law.predict(of_unknown)
    assert ((high / low) > (known[2] / known[1])).all()
    assert error == pytest.approx(used.filter(model_label="1.0x20.0")["error"].to_numpy(), rel=0.2)


def test_the_chart_holds_what_was_predicted():
    predicted = prediction.predictions(family(relative_noise=0.02))
    drawn = drawn_rows(prediction.plot(predicted).to_dict())
    assert [row["predicted_error"] for row in drawn] == pytest.approx(predicted["predicted_error"].to_list(), rel=1e-4)
    assert prediction.drawn(predicted) == ""


def test_of_many_points_the_chart_draws_every_so_many():
    predicted = prediction.predictions(family(num_densities=21))
    many = pl.concat([predicted] * 7)
    drawn = drawn_rows(prediction.plot(many).to_dict())
    assert len(drawn) == 378
    assert prediction.drawn(many) == "378 of 1,134 points"
