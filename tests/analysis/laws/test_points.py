"""Which points a law is fitted to, and the size of a network from its model's name and options."""

from typing import Any

import pytest

from analysis.laws import points
from tests.analysis.runs import results


def table(runs):
    return points.table(results(runs)).collect()


def sizes(*models):
    """Width, depth and family of networks of one data set, in the order given."""
    frame = table(
        {"model_label": f"{number}", "model": model, "model_options": options}
        for number, (model, options) in enumerate(models)
    )
    return frame.select("width", "depth", "family").rows()


def test_the_error_is_a_mean_of_networks_that_did_not_collapse():
    accuracies = [0.9, 0.8, 0.1, 0.7, 0.6]
    runs: list[dict[str, Any]] = [{"seed": seed, "final_test_accuracy": one} for seed, one in enumerate(accuracies)]
    runs[2]["collapsed_layers"] = 1
    runs[3]["outcome"] = "diverged"
    runs[4] |= {"outcome": "failed", "final_test_accuracy": None}
    row = table(runs).row(0, named=True)
    assert (row["n"], row["num_collapsed"], row["num_absent"]) == (2, 1, 2)
    assert row["error"] == pytest.approx(0.15)
    assert row["deviation"] == pytest.approx(0.0707107, abs=1e-7)  # 0.05 x sqrt 2
    assert (row["guessing_error"], row["dense_error"]) == (0.9, None)


def test_an_accuracy_that_is_no_number_bends_no_mean():
    row = table([{"seed": 0, "final_test_accuracy": float("nan")}, {"seed": 1, "final_test_accuracy": 0.8}]).row(
        0, named=True
    )
    assert (row["n"], row["error"], row["num_absent"]) == (1, pytest.approx(0.2), 1)


def test_a_point_whose_networks_all_collapsed_has_no_error():
    row = table([{"collapsed_layers": 1}]).row(0, named=True)
    assert (row["n"], row["error"], row["num_collapsed"]) == (0, None, 1)


def test_the_dense_error_is_that_of_the_panel():
    frame = table(
        [
            {"curve": curve, "density": density, "final_test_accuracy": 0.98 if density == 1 else 0.5}
            for curve in ("snip", "random")
            for density in (1.0, 0.1)
        ]
        + [{"model_label": "convnet", "density": 0.1}]
    )
    assert frame.select("model_label", "dense_error").unique().sort("model_label").rows() == [
        ("convnet", None),
        ("mlp", pytest.approx(0.02)),
    ]


def test_width_factors_and_depths_in_names():
    assert sizes(("resnet20", "{}"), ("resnet56", '{"width_factor":0.5}'), ("vgg16_bn", '{"width_factor":2}')) == [
        (1.0, 20.0, "resnet of three segments"),
        (0.5, 56.0, "resnet of three segments"),
        (2.0, 16.0, "vgg_bn"),
    ]


def test_resnets_that_are_built_differently_are_different_families():
    families = [family for *_, family in sizes(("resnet20", "{}"), ("resnet18", "{}"), ("resnet50", "{}"))]
    assert len(set(families)) == 3
    assert sizes(("wide_resnet20", "{}"))[0][2] == "wide_resnet of three segments"


def test_widths_as_options():
    assert sizes(("fc", '{"depth":3,"width":64}'), ("fc", '{"depth":6,"width":128,"width_factor":0.5}')) == [
        (64.0, 3.0, "fc"),
        (64.0, 6.0, "fc"),
    ]
    assert sizes(("mlp", '{"widths":[100,400]}'), ("mlp", '{"widths":[100,100,100]}')) == [
        (pytest.approx(200.0), 3.0, "mlp"),
        (pytest.approx(100.0), 4.0, "mlp"),
    ]
    assert sizes(("wrn28_10", "{}"), ("wrn16_4", "{}")) == [(10.0, 28.0, "wrn"), (4.0, 16.0, "wrn")]


def test_a_default_that_is_not_in_the_store_is_not_guessed():
    assert sizes(("mlp", '{"widths":[100,100]}'), ("mlp", "{}"), ("convnet", "{}")) == [
        (pytest.approx(100.0), 3.0, "mlp"),
        (None, None, "mlp"),
        (1.0, 1.0, "convnet"),
    ]


def test_other_options_make_another_family():
    assert sizes(("resnet20", '{"shortcut":"padding","width_factor":2.0}'), ("resnet20", '{"width_factor":2.0}')) == [
        (2.0, 20.0, "resnet of three segments, shortcut padding"),
        (2.0, 20.0, "resnet of three segments"),
    ]
