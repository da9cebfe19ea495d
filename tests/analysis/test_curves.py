"""Training curves, by hand."""

from __future__ import annotations

import math

import polars as pl
import pytest
import vl_convert

from analysis import curves
from analysis.palette import Palette
from analysis.report.section import VEGALITE
from analysis.scan import scan


def rows(*accuracies, loss=0.5, **columns):
    return [{"test_accuracy": accuracy, "test_loss": loss, "train_loss": 2 * loss} | columns for accuracy in accuracies]


def table(root):
    store = scan(root)
    return curves.table(store.results, store.epochs).collect()


def test_mean_and_interval_by_epoch(builder):
    builder.both("a", point={"seed": 0}, epochs=rows(0.2, 0.6, loss=1.0))
    builder.both("b", point={"seed": 1}, epochs=rows(0.4, 0.8, loss=3.0))
    found = table(builder.write())
    assert found.select("level", "epoch", "n", "mean_test_loss", "mean_train_loss").rows() == [
        (1, 1, 2, 2.0, 4.0),
        (1, 2, 2, 2.0, 4.0),
    ]
    assert found["mean_test_accuracy"].to_list() == [pytest.approx(0.3), pytest.approx(0.7)]
    # t(0.975, 1) = 12.7062, s = 0.1 sqrt(2), n = 2
    assert (found["high_test_accuracy"] - found["mean_test_accuracy"]).to_list() == pytest.approx(
        [1.27062] * 2, abs=1e-5
    )
    assert (found["mean_train_loss"] - found["low_train_loss"]).to_list() == pytest.approx([25.4124] * 2, abs=1e-4)
    assert found["is_last_level"].all()


def test_what_diverged_failed_or_is_missing_is_counted_and_bends_no_epoch(builder):
    builder.both("a", point={"seed": 0}, epochs=rows(0.8, 0.9), collapsed_layers=1)
    nan = rows(0.8) + rows(0.1, loss=math.nan)
    builder.both("b", point={"seed": 1}, epochs=nan, final_test_loss=math.nan)
    builder.both("c", point={"seed": 2}, epochs=rows(0.1), error=("ValueError", "half-way"))
    builder.point("d", seed=3)
    found = table(builder.write())
    counts = ["n", "num_trials", "num_collapsed", "num_diverged", "num_failed", "num_missing"]
    assert found.select("mean_test_accuracy", *counts).rows() == [(0.8, 1, 1, 1, 1, 1, 1), (0.9, 1, 1, 1, 1, 1, 1)]


def test_an_epoch_that_is_not_finite_and_one_that_is_not_there_are_counted(builder):
    builder.both("a", point={"seed": 0}, epochs=rows(0.8, 0.9, 1.0))
    builder.both("b", point={"seed": 1}, epochs=rows(0.4) + rows(0.1, loss=math.inf) + rows(0.6))
    builder.both("c", point={"seed": 2}, epochs=rows(0.6))
    train = [row | {"train_loss": math.nan} for row in rows(0.2)]
    builder.both("d", point={"seed": 3}, epochs=train)
    found = table(builder.write())
    assert found.select("epoch", "n", "num_not_finite", "num_ended", "n_train_loss").rows() == [
        (1, 4, 0, 0, 3),
        (2, 1, 1, 2, 1),
        (3, 2, 0, 2, 2),
    ]
    assert found["mean_test_accuracy"].to_list() == pytest.approx([0.5, 0.9, 0.8])
    assert found["mean_train_loss"].to_list() == [1.0, 1.0, 1.0]


def test_a_shared_dense_trial_stands_under_each_curve_and_levels_are_apart(builder):
    builder.both("dense", point={"density": 1.0}, epochs=rows(0.9))
    builder.point("dense", density=1.0, pruner="imp", pre_epochs=1, levels=2, rewind="weights")
    levels = [{"level": level, "epoch": 1} for level in range(3)]
    imp = [row | level for row, level in zip(rows(0.9, 0.8, 0.7), levels, strict=True)]
    point = {"pruner": "imp", "pre_epochs": 1, "levels": 2, "rewind": "weights", "density": 0.25}
    builder.both("imp", point=point, epochs=imp)
    found = table(builder.write()).select("curve", "density", "level", "is_last_level", "mean_test_accuracy")
    assert found.rows() == [
        ("imp", 1.0, 1, True, 0.9),
        ("imp", 0.25, 0, False, 0.9),
        ("imp", 0.25, 1, False, 0.8),
        ("imp", 0.25, 2, True, 0.7),
        ("synflow", 1.0, 1, True, 0.9),
    ]


def for_page(root):
    store = scan(root)
    return curves.for_page(store.results, store.epochs).collect()


def test_a_page_holds_few_densities_and_epochs_and_says_how_many_there_are(builder):
    densities = [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002]
    for density in densities:
        builder.both(f"t{density}", point={"density": density}, epochs=rows(*[0.5] * 160))
    found = for_page(builder.write())
    assert found["density"].unique(maintain_order=True).to_list() == densities[::2]
    assert found.filter(density=1.0)["epoch"].to_list() == list(range(1, 161, 3))  # 160 in steps of 3: 54 of them
    assert set(found.select("num_densities", "num_epochs").rows()) == {(9, 160)}
    assert curves.note(found) == "5 of 9 sparsities, 54 of 160 epochs"


def test_a_small_sweep_is_shown_whole(builder):
    for density in (1.0, 0.1):
        builder.both(f"t{density}", point={"density": density}, epochs=rows(0.5, 0.6, 0.7))
    root = builder.write()
    found = for_page(root)
    assert found.drop("num_densities", "num_epochs").equals(table(root))
    assert curves.note(found) == ""


def test_the_last_epoch_is_always_shown(builder):
    builder.both("a", point={}, epochs=rows(*[0.5] * 61))
    assert for_page(builder.write())["epoch"].to_list()[-1] == 61


def test_many_curves_share_the_rows_of_a_panel(builder):
    for number in range(40):
        builder.both(f"t{number}", point={"pruner": f"p{number:02}"}, epochs=rows(*[0.5] * 160))
    found = for_page(builder.write())
    assert curves.MOST_ROWS / 2 < found.height <= curves.MOST_ROWS
    assert found["curve"].n_unique() == 40


def test_figures_are_drawn(builder):
    for density in (1.0, 0.1):
        builder.both(f"t{density}", point={"density": density, "pruner": 'a "quoted", name'}, epochs=rows(0.5, 0.6))
    found = for_page(builder.write())
    figure = vl_convert.vegalite_to_svg(curves.plot(found).to_dict(), vl_version=VEGALITE)
    assert figure.count('aria-roledescription="line mark"') == 2
    page = curves.panel(found, Palette.of(found["curve"]), width=400).to_dict()
    drawn = vl_convert.vegalite_to_svg(page, vl_version=VEGALITE)
    assert drawn.count('aria-roledescription="line mark"') == 1  # the one chosen
    assert "a &quot;quoted&quot;, name" in drawn or 'a "quoted", name' in drawn


def test_nothing_trained_gives_an_empty_table(builder):
    builder.point("a")
    root = builder.write()
    assert table(root).is_empty()
    assert for_page(root).is_empty()
    assert isinstance(table(root), pl.DataFrame)
