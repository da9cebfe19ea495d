"""A grid is the product of its axes; each pruner entry multiplies with its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import BadInput
from orchestrator.expand import expand
from orchestrator.sources import UserCode
from orchestrator.sweepfile import parse_sweep
from training.config import LevelsConfig, TrainingConfig, TrialConfig


def grid(**lines: str) -> list[TrialConfig]:
    keys = {"name": "g", "dataset": "digits", "model": "mlp", "pruner": "random", "sparsity": "0.9"}
    keys |= {"training": "{epochs: 1}"} | lines
    text = "\n".join(f"{key}: {value}" for key, value in keys.items() if value)
    return list(expand(parse_sweep(text, name="g.yaml", folder=Path()).sweep, UserCode(Path())))


def test_pruners_carry_axes_of_their_own() -> None:
    points = grid(pruner="[{name: [random, snip]}, {name: synflow, iterations: [1, 100], scope: [global, local]}]")
    assert [(p.pruner.name, p.pruner.iterations, p.pruner.scope) for p in points] == [
        ("random", 1, "global"),
        ("snip", 1, "global"),
        ("synflow", 1, "global"),
        ("synflow", 1, "local"),
        ("synflow", 100, "global"),
        ("synflow", 100, "local"),
    ]


def test_what_is_left_out_takes_the_pruners_defaults() -> None:
    snip, synflow = (p.pruner for p in grid(pruner="[snip, synflow]"))
    assert (snip.iterations, snip.mode, snip.score_dtype) == (1, "train", "float32")
    assert (synflow.iterations, synflow.mode, synflow.score_dtype) == (100, "eval", "float64")


def test_options_belong_to_what_they_configure() -> None:
    (point,) = grid(model="{name: mlp, widths: [30, 20]}", pruner="{name: grasp, temperature: 1.0}")
    assert point.model.kwargs == {"widths": [30, 20]}
    assert point.pruner.kwargs == {"temperature": 1.0}


def test_a_schedule_can_be_spelled_out() -> None:
    points = grid(pruner="{name: snip, schedule: [0.5, 0.2]}", sparsity="[0.9, 0.7]")
    assert {(p.pruner.schedule, p.pruner.iterations) for p in points} == {("0.5,0.2", 3)}
    both = grid(pruner="{name: synflow, iterations: 9, schedule: [linear, [0.5, 0.25]]}")
    assert [(p.pruner.schedule, p.pruner.iterations) for p in both] == [("linear", 9), ("0.5,0.25", 3)]


def test_cutting_a_fraction_again_and_again_spells_out_the_stops() -> None:
    points = grid(pruner="{name: snip, schedule: {cut: 0.2}}", density="[0.6, 0.5]", sparsity="")
    assert [(p.pruner.schedule, p.pruner.iterations) for p in points] == [("0.8,0.64,0.512", 4)] * 2
    (small,) = grid(pruner="{name: snip, schedule: {cut: 0.2}}", density="0.01", sparsity="")
    assert small.pruner.iterations == 21  # 0.8^20 = 0.0115 is the last stop above 0.01


def test_levels_are_axes_of_the_pruner() -> None:
    points = grid(
        pruner="{name: magnitude, pre_epochs: [0, 2], levels: 1, fine_tune_epochs: 0}", training="{epochs: 3}"
    )
    assert [p.levels for p in points] == [LevelsConfig(), LevelsConfig(pre_epochs=2)]
    (listed,) = grid(
        pruner="{name: snip, pre_epochs: 2, rewind: lr, rewind_step: 7, schedule: [0.5, 0.2]}", training="{epochs: 3}"
    )
    assert listed.levels == LevelsConfig(pre_epochs=2, levels=3, rewind="lr", rewind_step=7)
    assert listed.pruner.iterations == 1


def test_imp_trains_the_whole_recipe_prunes_a_fifth_and_rewinds() -> None:
    points = grid(pruner="imp", density="0.512", sparsity="", training="{epochs: [3, 4]}")
    assert [p.levels for p in points] == [
        LevelsConfig(pre_epochs=epochs, levels=3, rewind="weights") for epochs in (3, 4)
    ]
    assert {p.pruner.schedule for p in points} == {"0.8,0.64"}
    (five,) = grid(pruner="{name: imp, levels: 5, rewind_step: 10}")
    assert (five.levels.levels, five.levels.rewind_step, five.pruner.schedule) == (5, 10, "exponential")


@pytest.mark.parametrize(
    ("pruner", "complaint"),
    [
        ("{name: snip, levels: 3}", "set pre_epochs"),
        ("{name: snip, rewind: weights}", "set pre_epochs"),
        ("{name: snip, pre_epochs: 9}", "the recipe ends after 1 epochs"),
        ("{name: snip, pre_epochs: 1}", "do not say how long to train after a pruning: set fine_tune_epochs"),
        ("{name: snip, pre_epochs: 1, rewind_step: 3, fine_tune_epochs: 1}", "set rewind to weights or lr"),
        ("{name: snip, pre_epochs: 1, rewind: lr, fine_tune_epochs: 1}", "is not used: rewound training ends"),
    ],
)
def test_levels_that_contradict_the_recipe_are_refused_naming_the_pruner(pruner: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=f"pruner snip: .*{complaint}"):
        grid(pruner=pruner)


def test_pruners_that_act_during_training_have_options_but_no_rounds() -> None:
    (point,) = grid(pruner="{name: rigl, every: 10, drop: 0.2}")
    assert point.pruner.kwargs == {"drop": 0.2, "every": 10}
    with pytest.raises(BadInput, match="gmp changes its masks while the network trains and has no scope"):
        grid(pruner="{name: gmp, scope: local}")


def test_an_unknown_key_is_answered_with_the_keys_that_a_pruner_takes() -> None:
    for name, keys in [("small_dense", "name"), ("gmp", "begin, end, every, name")]:
        with pytest.raises(BadInput, match=f"unknown key 'xyz' for pruner {name}: expected one of {keys}$"):
            grid(pruner=f"{{name: {name}, xyz: 1}}")


@pytest.mark.parametrize(
    ("key", "value"),
    [("iterations", "2"), ("scope", "local"), ("ablation", "shuffle"), ("levels", "2"), ("schedule", "linear")],
)
def test_a_narrower_network_has_no_rounds(key: str, value: str) -> None:
    (point,) = grid(pruner="small_dense")
    assert (point.pruner.name, point.pruner.iterations, point.levels) == ("small_dense", 1, LevelsConfig())
    with pytest.raises(BadInput, match=f"nothing is removed, and has no {key}: remove the key"):
        grid(pruner=f"{{name: small_dense, {key}: {value}}}")


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("[mlp, {name: torchvision, arch: resnet18}]", "torchvision cannot be made narrower, as small_dense asks"),
        ("{name: lenet5, weights: mine.pt}", "weights fit the full lenet5 only, not the narrower one of small_dense"),
    ],
)
def test_a_narrower_network_is_refused_where_there_is_none(model: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        grid(model=model, pruner="[random, small_dense]")


def test_layers_can_have_a_density_of_their_own() -> None:
    points = grid(pruner="{name: snip, scope: [global, {first: 1, classifier: 0.50}]}")
    assert [p.pruner.scope for p in points] == ["global", '{"classifier":"0.5","first":"1"}']


def test_ablations_are_an_axis() -> None:
    points = grid(pruner="{name: snip, ablation: [none, shuffle, reinitialise, invert]}")
    assert [p.pruner.ablation for p in points] == ["none", "shuffle", "reinitialise", "invert"]


def test_training_lists_are_axes() -> None:
    points = grid(training="{epochs: [1, 2], lr: [0.1, 0.2], optimizer: [momentum, adam]}")
    assert len(points) == 8
    assert {(p.training.optimizer, p.training.momentum) for p in points} == {("momentum", 0.9), ("adam", 0.0)}


def test_learning_rate_drops_are_one_value() -> None:
    (point,) = grid(training="{epochs: 9, lr_drops: [6, 3], lr_drop_factor: 0.2}")
    assert (point.training.lr_drops, point.training.lr_drop_factor) == ((3, 6), 0.2)


def test_one_source_of_chance_can_vary_alone() -> None:
    seeds = [p.seeds for p in grid(seed="{init: [1, 2], data: 7}")]
    assert [(s.init, s.data, s.prune) for s in seeds] == [(1, 7, 0), (2, 7, 0)]


def test_neighbours_share_what_a_cohort_shares() -> None:
    points = grid(model="[mlp, convnet]", seed="{count: 2}", pruner="[random, snip]", sparsity="[0.5, 0.9]")
    shared = [(p.model.name, p.seeds.init, p.pruner.name) for p in points]
    assert shared == sorted(shared, key=shared.index)  # every combination is one run of neighbours
    assert len(points) == 16


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_the_grid_has_as_many_points_as_the_product_of_its_axes(seeds: int, lrs: int, rounds: int, levels: int) -> None:
    points = grid(
        seed=f"{{count: {seeds}}}",
        pruner=f"{{name: synflow, iterations: {list(range(1, rounds + 1))}}}",
        training=f"{{epochs: 1, lr: {[0.1 * (i + 1) for i in range(lrs)]}}}",
        sparsity=str([0.9, 0.99, 0.999][:levels]),
    )
    assert len(points) == len(set(points)) == seeds * lrs * rounds * levels


def test_what_is_held_out_is_an_axis_of_the_data_set() -> None:
    points = grid(dataset="{name: digits, validation: [own, 0, 300, 0.10]}")
    assert [point.dataset.validation for point in points] == ["own", "0", "300", "0.1"]
    assert [point.dataset.validation for point in grid()] == ["own"]
    assert {point.dataset.options for point in points} == {"{}"}


def test_the_size_of_the_prune_set_is_an_axis_of_a_pruner() -> None:
    points = grid(pruner="[{name: snip, examples_per_class: [1, 10]}, random]")
    assert [point.pruner.examples_per_class for point in points] == [1, 10, 10]


def test_each_optimizer_has_a_learning_rate_of_its_own_unless_one_is_given() -> None:
    names = "[sgd, momentum, adam, adamw, rmsprop]"
    points = grid(training=f"{{epochs: 1, optimizer: {names}}}")
    assert [point.training.lr for point in points] == [0.1, 0.1, 0.001, 0.001, 0.001]
    assert {point.training.lr for point in grid(training=f"{{epochs: 1, optimizer: {names}, lr: 0.5}}")} == {0.5}


def test_every_training_option_reaches_the_trial() -> None:
    (point,) = grid(
        training="{epochs: 9, optimizer: adamw, lr: 1, beta1: 0.8, beta2: 0.99, epsilon: 1.0e-6, weight_decay: 0.1, "
        "weight_decay_on: weights, batch_size: 32, lr_schedule: cosine, warmup_epochs: 2, label_smoothing: 0.1, "
        "clip_grad_norm: 1, precision: bf16, augment: true}"
    )
    assert point.training == TrainingConfig(
        epochs=9, optimizer="adamw", lr=1.0, momentum=0.0, beta1=0.8, beta2=0.99, epsilon=1e-6, weight_decay=0.1,
        weight_decay_on="weights", batch_size=32, lr_schedule="cosine", warmup_epochs=2.0, label_smoothing=0.1,
        clip_grad_norm=1.0, precision="bf16", augment=True,
    )  # fmt: skip
    assert isinstance(point.training.warmup_epochs, float)


def test_options_that_do_not_matter_do_not_multiply_the_grid() -> None:
    points = grid(training="{epochs: [2, 9], optimizer: [sgd, adam], beta1: [0.8, 0.9], lr_drops: [5]}")
    settings = {(p.training.epochs, p.training.optimizer, p.training.beta1, p.training.lr_drops) for p in points}
    assert settings == {
        *[(epochs, "sgd", 0.9, drops) for epochs, drops in ((2, ()), (9, (5,)))],
        *[(epochs, "adam", beta, drops) for epochs, drops in ((2, ()), (9, (5,))) for beta in (0.8, 0.9)],
    }
    assert len(points) == 6
