"""The short summaries: progress, failures, noise, settings, layers, and the words for sparsities and curves."""

import pytest

from analysis import failures, layers, noise, progress, settings
from analysis.palette import Palette
from analysis.scan import scan, sweep_names
from analysis.sparsity import sparsity_texts


def test_progress_counts_each_trial_once(builder):
    builder.point("dense", density=1.0, pruner="snip")
    builder.point("dense", density=1.0, pruner="grasp")
    builder.trial("dense")
    builder.both("b", point={"seed": 1}, collapsed_layers=3)
    builder.both("c", point={"seed": 2}, error=("ValueError", "no"))
    builder.both("d", point={"seed": 3}, final_test_loss=float("inf"))
    builder.point("e", seed=4)
    builder.trial("of an older numerics version")
    assert progress.table(scan(builder.write())).collect().row(0, named=True) == {
        "num_points": 6,
        "num_trials": 5,
        "num_completed": 3,
        "num_failed": 1,
        "num_missing": 1,
        "num_diverged": 1,
        "num_collapsed": 1,
        "num_kept_apart": 1,
        "num_folded": 1,
    }


def test_failures_are_grouped_by_cause(builder):
    for seed in range(3):
        builder.both(f"a{seed}", point={"seed": seed}, error=("OutOfMemoryError", "8 GiB"))
    builder.both("b", point={"seed": 3, "pruner": "snip"}, error=("ValueError", "nothing kept"))
    builder.point("b", seed=3, pruner="grasp")
    assert failures.table(scan(builder.write()).results).collect().rows() == [
        ("OutOfMemoryError", "8 GiB", 3, ["synflow"], "a0", 3, 1),
        ("ValueError", "nothing kept", 1, ["grasp", "snip"], "b", 1, 1),
    ]


def test_messages_that_differ_in_numbers_are_one_cause_and_attempts_are_counted_once_a_trial(builder):
    for number, (size, address) in enumerate([("2.50", "0x7f00"), ("3", "0x7eff"), ("10.25", "0x1")]):
        message = f"Tried to allocate {size} GiB at {address}"
        builder.point(f"t{number}", seed=number)
        builder.point(f"t{number}", seed=number, pruner="snip")
        builder.trial(f"t{number}", attempt=number + 1, error=("OutOfMemoryError", message))
    builder.both("u", point={"seed": 9}, error=("OutOfMemoryError", "Tried to allocate much at 0x1"))
    columns = ["error_message", "num_trials", "num_attempts", "num_messages", "example_trial_id"]
    assert failures.table(scan(builder.write()).results).select(columns).collect().rows() == [
        ("Tried to allocate 2.50 GiB at 0x7f00", 3, 1 + 2 + 3, 3, "t0"),
        ("Tried to allocate much at 0x1", 1, 1, 1, "u"),
    ]


def test_noise_of_500_images(builder):
    builder.both("a", point={"density": 1.0, "seed": 0}, final_test_accuracy=0.97)
    builder.both("b", point={"density": 1.0, "seed": 1}, final_test_accuracy=0.99)
    builder.both("c", point={"density": 0.1}, final_test_accuracy=0.5)
    row = noise.table(scan(builder.write()).results).collect().row(0, named=True)
    assert row["worst_error"] == pytest.approx(0.0223607, abs=1e-7)  # sqrt(0.25 / 500)
    assert row["dense_error"] == pytest.approx(0.0062610, abs=1e-7)  # sqrt(0.98 * 0.02 / 500)
    assert noise.sentence(row) == (
        "mlp on digits: an accuracy measured on 500 test images has a standard error of 2.2 points at worst "
        "(at 50 % accuracy) and of 0.6 points at the dense network's 98.0 %."
    )


def test_noise_without_a_dense_trial(builder):
    builder.both("a", point={})
    row = noise.table(scan(builder.write()).results).collect().row(0, named=True)
    assert noise.sentence(row).endswith("2.2 points at worst (at 50 % accuracy).")


def test_settings_list_what_the_grid_holds(builder):
    builder.point("a", pruner="synflow", lr=0.1)
    builder.point("b", pruner="magnitude", lr=0.01)
    rows = {name: values for name, values, _ in settings.table(scan(builder.write()).points).collect().rows()}
    assert (rows["pruner"], rows["lr"], rows["density_literal"]) == (["magnitude", "synflow"], ["0.01", "0.1"], ["0.1"])


def test_environment_lists_what_was_recorded(builder):
    builder.both("a", point={"seed": 0}, host="n1", threads=1)
    builder.both("b", point={"seed": 1}, host="n2", threads=1)
    builder.trial("of an earlier sweep file", host="n9")
    rows = {
        name: (values, n) for name, values, n in settings.environment(scan(builder.write()).results).collect().rows()
    }
    assert rows["host"] == (["n1", "n2"], 2)
    assert rows["threads"] == (["1"], 1)
    assert rows["git_dirty"] == (["false"], 1)
    assert rows["git_commit"] == ([], 0)


def test_layers_are_those_of_the_sparsest_completed_point(builder):
    builder.both("a", point={"density": 0.1}, layers={"in": (10, 5), "out": (20, 5)})
    builder.both("b", point={"density": 0.01, "seed": 0}, layers={"in": (10, 0), "out": (20, 4)})
    builder.both("c", point={"density": 0.01, "seed": 1}, layers={"in": (10, 1), "out": (20, 2)})
    builder.point("d", density=0.001)
    store = scan(builder.write())
    columns = ["density", "layer", "n", "mean_kept", "num_empty", "kept_share"]
    assert layers.table(store.results, store.layers).select(columns).collect().rows() == [
        (0.01, "in", 2, 0.5, 1, 0.05),
        (0.01, "out", 2, 3.0, 0, 0.15),
    ]


def test_sweep_names_are_distinct_and_sorted(builder):
    builder.point("a", sweep="two", sweep_hash="h2")
    builder.point("b", sweep="one", sweep_hash="h1")
    builder.point("b", sweep="one", sweep_hash="h3")
    assert sweep_names(builder.write()).collect()["sweep"].to_list() == ["one", "two"]


@pytest.mark.parametrize(
    ("densities", "texts"),
    [
        ([1.0, 0.1, 0.01, 0.001, 0.0001], ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]),
        ([0.0316227766017, 0.00316227766017], ["96.8 %", "99.68 %"]),
        ([0.5, 0.2, 0.05], ["50 %", "80 %", "95 %"]),
        ([0.0121, 0.0123], ["98.79 %", "98.77 %"]),
        ([1e-6], ["99.9999 %"]),
        ([], []),
    ],
)
def test_sparsities_read_with_as_many_nines_as_they_have(densities, texts):
    assert list(sparsity_texts(densities).values()) == texts


def test_curves_keep_their_look_in_natural_order():
    palette = Palette.of(["synflow, 100 rounds", "synflow, 2 rounds", "magnitude", "magnitude"])
    assert palette.curves == ("magnitude", "synflow, 2 rounds", "synflow, 100 rounds")


def test_a_pruner_has_one_colour_on_every_page():
    alone = Palette.of(["synflow"])
    five = Palette.of(["random", "magnitude", "snip", "grasp", "synflow"])
    rounds = Palette.of(["aardvark", "synflow, 2 rounds · monday", "synflow, 100 rounds · monday", "snip"])
    assert alone.colour("synflow") == five.colour("synflow") == rounds.colour("synflow, 100 rounds · monday")
    assert five.colour("snip") == rounds.colour("snip")
    assert len({five.colour(curve) for curve in five.curves}) == 5
    # what has no colour of its own takes one that nobody on the page has
    assert len({rounds.colour(curve) for curve in rounds.curves}) == 4


def test_35_curves_have_35_looks():
    palette = Palette.of(f"c{number}" for number in range(35))
    looks = {(palette.colour(curve), palette.dash(curve), palette.shape(curve)) for curve in palette.curves}
    assert len(looks) == 35
