import polars as pl
import pytest

from analysis.labels import PANEL
from analysis.scan import scan
from orchestrator.store.schema import CONFIG_COLUMNS


def curves(root):
    return scan(root).results.select("pruner", "iterations", "curve").unique().sort("curve").collect().rows()


def test_a_curve_is_named_after_its_pruner_alone_where_it_has_one_setting(builder):
    builder.point("a", pruner="synflow", iterations=100)
    builder.point("b", pruner="magnitude", iterations=1)
    assert curves(builder.write()) == [("magnitude", 1, "magnitude"), ("synflow", 100, "synflow")]


def test_only_varying_settings_enter_a_curves_name(builder):
    builder.point("a", pruner="synflow", iterations=1)
    builder.point("b", pruner="synflow", iterations=100)
    builder.point("c", pruner="snip", scope="global", mode="eval", score_dtype="float32", schedule="exponential")
    builder.point("d", pruner="snip", scope="local", mode="train", score_dtype="float64", schedule="linear")
    builder.point("e", pruner="grasp", pruner_options='{"temperature":100}')
    builder.point("f", pruner="grasp", pruner_options="{}")
    assert [name for _, _, name in curves(builder.write())] == [
        "grasp, default options",
        "grasp, temperature 100",
        "snip, exponential, global, eval mode, float32",
        "snip, linear, local, train mode, float64",
        "synflow, 1 round",
        "synflow, 100 rounds",
    ]


def test_a_schedule_of_many_densities_is_named_by_three_of_them(builder):
    tickets = {"pruner": "imp", "pre_epochs": 3, "rewind": "weights"}
    builder.point("a", schedule="0.8,0.64,0.512,0.4096,0.32768", levels=6, **tickets)
    builder.point("b", schedule="0.8,0.64,0.512,0.4096,0.32768", levels=6, ablation="shuffle", **tickets)
    builder.point("c", schedule="0.5,0.25", levels=3, **tickets)
    builder.point("d", schedule="exponential", levels=5, **tickets)
    assert [name for _, _, name in curves(builder.write())] == [
        "imp, densities 0.5 0.25, as scored",
        "imp, densities 0.8 0.64 … 0.3276, as scored",
        "imp, densities 0.8 0.64 … 0.3276, shuffle",
        "imp, exponential, as scored, 5 levels",
    ]


def test_a_pruner_that_follows_training_says_so_also_where_it_has_one_setting(builder):
    builder.point("a", pruner="snip")
    builder.point("b", pruner="magnitude", pre_epochs=4, fine_tune_epochs=2)
    builder.point("c", pruner="lamp", pre_epochs=4, rewind="lr")
    builder.point("d", pruner="imp", pre_epochs=4, rewind="weights")
    builder.point("e", pruner="synflow", pre_epochs=0)
    builder.point("f", pruner="synflow", pre_epochs=1)
    assert [name for _, _, name in curves(builder.write())] == [
        "imp",
        "lamp, after 4 epochs, lr rewound",
        "magnitude, after 4 epochs",
        "snip",
        "synflow, after 1 epoch",
        "synflow, at initialisation",
    ]


def test_schedules_that_share_those_three_are_spelled_out(builder):
    builder.point("a", pruner="imp", schedule="0.8,0.64,0.5,0.1", levels=5, rewind="weights")
    builder.point("b", pruner="imp", schedule="0.8,0.64,0.4,0.1", levels=5, rewind="weights")
    assert [name for _, _, name in curves(builder.write())] == [
        "imp, densities 0.8 0.64 0.4 0.1",
        "imp, densities 0.8 0.64 0.5 0.1",
    ]


def test_options_that_read_alike_stay_two_curves(builder):
    builder.point("a", pruner="mine:P", pruner_options='{"k":1}')
    builder.point("b", pruner="mine:P", pruner_options='{"k":"1"}')
    assert [name for _, _, name in curves(builder.write())] == ['mine:P, k 1 {"k":"1"}', 'mine:P, k 1 {"k":1}']


def test_training_before_pruning_reads_as_words_beside_pruning_at_initialisation(builder):
    for trial, pre_epochs, fine_tune_epochs in [("a", 0, 0), ("b", 1, 1), ("c", 1, 2)]:
        builder.both(trial, point={"pre_epochs": pre_epochs, "fine_tune_epochs": fine_tune_epochs})
    curves = scan(builder.write()).results.sort("trial_id").select("curve").collect()["curve"].to_list()
    assert [curve.partition(", ")[2] for curve in curves] == [
        "at initialisation, to the recipe's end",
        "after 1 epoch, 1 epoch of fine-tuning",
        "after 1 epoch, 2 epochs of fine-tuning",
    ]


def test_models_and_training_are_labelled_only_where_they_vary(builder):
    builder.point("a", model="mlp", model_options='{"width":8}', lr=0.1)
    builder.point("b", model="mlp", model_options='{"width":16}', lr=0.1)
    builder.point("c", model="convnet", lr=0.1, epochs=20)
    builder.point("d", model="convnet", lr=0.01, epochs=40)
    labels = ["model_label", "training_label"]
    assert scan(builder.write()).results.select(labels).unique().sort(labels).collect().rows() == [
        ("convnet", "20 epochs, lr 0.1"),
        ("convnet", "40 epochs, lr 0.01"),
        ("mlp, width 16", ""),
        ("mlp, width 8", ""),
    ]


def test_each_model_may_have_its_own_learning_rate_without_a_label(builder):
    builder.point("a", model="mlp", lr=0.1)
    builder.point("b", model="convnet", lr=0.01)
    assert scan(builder.write()).results.collect()["training_label"].to_list() == ["", ""]


def test_a_shared_dense_trial_stands_under_every_pruner_with_that_pruners_settings(builder):
    builder.point("dense", pruner="synflow", iterations=100, density=1.0)
    builder.point("dense", pruner="snip", iterations=1, density=1.0)
    builder.trial("dense", pruner="none", density=1.0, final_test_accuracy=0.75)
    rows = scan(builder.write()).results.select("curve", "iterations", "final_test_accuracy").collect().rows()
    assert rows == [("snip", 1, 0.75), ("synflow", 100, 0.75)]


def test_points_of_two_versions_of_a_sweep_count_once(builder):
    builder.point("a", sweep_hash="old")
    builder.point("a", sweep_hash="new")
    builder.point("b", sweep_hash="new", seed=1)
    store = scan(builder.write())
    assert store.points.collect().height == 2
    assert store.results.collect()["trial_id"].to_list() == ["a", "b"]


def test_a_trial_that_folds_two_seeds_is_one_observation(builder):
    builder.point("a", density=1.0, seed_prune=0)
    builder.point("a", density=1.0, seed_prune=1)
    store = scan(builder.write())
    assert (store.points.collect().height, store.results.collect().height) == (2, 1)


def test_outcomes_tell_completed_diverged_failed_and_missing_apart(builder):
    builder.both("a", point={"seed": 0})
    builder.both("b", point={"seed": 1}, final_test_loss=float("nan"))
    builder.both("c", point={"seed": 2}, error=("ValueError", "no"))
    builder.point("d", seed=3)
    rows = scan(builder.write()).results.select("trial_id", "status", "outcome").collect().rows()
    assert rows == [
        ("a", "completed", "completed"),
        ("b", "completed", "diverged"),
        ("c", "failed", "failed"),
        ("d", "missing", "missing"),
    ]


def test_the_completed_attempt_with_the_smallest_id_counts(builder):
    builder.point("a")
    builder.trial("a", attempt=1, attempt_id="z", error=("OSError", "disk"))
    builder.trial("a", attempt=3, attempt_id="y", final_test_accuracy=0.3)
    builder.trial("a", attempt=2, attempt_id="x", final_test_accuracy=0.2)
    row = scan(builder.write()).results.select("status", "final_test_accuracy").collect().rows()
    assert row == [("completed", 0.2)]


def test_children_of_attempts_that_do_not_count_are_not_seen(builder):
    builder.point("a")
    builder.orphans("a", "killed", {"first": (10, 1)})
    builder.trial("a", attempt_id="lost", error=("OSError", "disk"), layers={"first": (10, 2)})
    builder.trial("a", attempt=2, attempt_id="won", layers={"first": (10, 3)})
    assert scan(builder.write()).layers.select("attempt_id", "kept").collect().rows() == [("won", 3)]


def test_an_empty_place_gives_empty_tables(tmp_path):
    store = scan(tmp_path / "nowhere")
    assert store.results.collect().height == 0
    assert isinstance(store.trials, pl.LazyFrame)


WITHOUT_A_LABEL = {"density", "density_literal", "seed_init", "seed_data", "seed_prune"}
SOURCES = {"dataset_source", "model_source", "pruner_source"}
SETTINGS = {name: kind for name, kind in CONFIG_COLUMNS if name not in WITHOUT_A_LABEL | SOURCES}


@pytest.mark.parametrize("column", SETTINGS)
def test_results_that_differ_in_any_setting_stand_under_different_labels(builder, column):
    texts = ('{"a":1}', '{"a":2}') if column.endswith("_options") else ("one", "other")
    values = {"string": texts, "bool": (False, True)}.get(str(SETTINGS[column]), (1, 2))
    for value in values:
        builder.both(str(value), point={column: value})
    labels = scan(builder.write()).results.select(*PANEL, "curve").collect()
    assert labels.n_unique() == 2
