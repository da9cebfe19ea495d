"""Equal trials share an id, different ones do not, and ids outlive sessions."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import identity
from orchestrator.identity import fold, trial_id
from pruning.density import canonical_density
from training.config import (
    NUMERICS_VERSION,
    DatasetConfig,
    LevelsConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
)

CONFIG = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="mlp"),
    pruner=PrunerConfig(name="snip", mode="train"),
    density=Decimal("0.1"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=15),
)


def test_an_id_is_stable_across_versions_of_python_and_of_ours() -> None:
    """Were this literal to change, every store would silently start anew: bump NUMERICS_VERSION on purpose instead."""
    assert trial_id(CONFIG) == "b4198576a673b6176df0b473c4763a16"


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, density=Decimal("0.01")),
        replace(CONFIG, dataset=replace(CONFIG.dataset, options='{"a":1}')),
        replace(CONFIG, model=replace(CONFIG.model, name="convnet")),
        replace(CONFIG, model=replace(CONFIG.model, source_hash="f00")),
        replace(CONFIG, pruner=replace(CONFIG.pruner, iterations=2)),
        replace(CONFIG, pruner=replace(CONFIG.pruner, mode="eval")),
        replace(CONFIG, pruner=replace(CONFIG.pruner, score_dtype="float64")),
        replace(CONFIG, pruner=replace(CONFIG.pruner, scope="local")),
        replace(CONFIG, pruner=replace(CONFIG.pruner, ablation="shuffle")),
        replace(CONFIG, pruner=replace(CONFIG.pruner, prunable="weights,biases")),
        replace(CONFIG, seeds=replace(CONFIG.seeds, data=1)),
        replace(CONFIG, seeds=replace(CONFIG.seeds, prune=1)),
        replace(CONFIG, training=replace(CONFIG.training, epochs=16)),
        replace(CONFIG, training=replace(CONFIG.training, precision="bf16")),
        replace(CONFIG, dataset=replace(CONFIG.dataset, validation="0")),
        replace(CONFIG, pruner=replace(CONFIG.pruner, examples_per_class=5)),
        replace(CONFIG, training=replace(CONFIG.training, weight_decay=1e-4)),
        replace(CONFIG, training=replace(CONFIG.training, lr_drops=(10,))),
        replace(CONFIG, levels=LevelsConfig(pre_epochs=3)),
        replace(CONFIG, levels=LevelsConfig(rewind_step=3)),
    ],
)
def test_every_field_that_can_change_a_result_changes_the_id(other: TrialConfig) -> None:
    assert trial_id(other) != trial_id(CONFIG)


def test_a_new_numerics_version_makes_every_trial_new(monkeypatch: pytest.MonkeyPatch) -> None:
    before = trial_id(CONFIG)
    monkeypatch.setattr(identity, "NUMERICS_VERSION", NUMERICS_VERSION + 1)
    assert trial_id(CONFIG) != before


def test_one_sparsity_in_three_units_is_one_trial() -> None:
    densities = [("sparsity", 0.9), ("compression_exponent", 1), ("compression_ratio", 10), ("density", 0.1)]
    ids = {trial_id(replace(CONFIG, density=canonical_density(unit, value))) for unit, value in densities}  # type: ignore[arg-type]
    assert len(ids) == 1


def test_at_density_one_the_pruner_and_its_seed_do_not_matter() -> None:
    dense = replace(CONFIG, density=Decimal(1))
    others = [
        replace(dense, pruner=PrunerConfig(name="synflow", iterations=100, score_dtype="float64")),
        replace(dense, pruner=PrunerConfig(name="small_dense")),
        replace(dense, seeds=replace(dense.seeds, prune=9)),
    ]
    assert {trial_id(fold(one)[0]) for one in [dense, *others]} == {trial_id(fold(dense)[0])}
    assert trial_id(fold(replace(dense, seeds=replace(dense.seeds, init=1)))[0]) != trial_id(fold(dense)[0])


@pytest.mark.parametrize(
    "name", ["random", "uniform", "balanced", "erk", "igq", "smart_ratio", "magnitude", "lamp", "small_dense"]
)
def test_rounds_schedule_mode_and_precision_fold_where_scores_never_change(name: str) -> None:
    one = PrunerConfig(name=name)
    many = PrunerConfig(
        name=name, iterations=100, schedule="linear", mode="train", score_dtype="float64", examples_per_class=5
    )
    folded, reason = fold(replace(CONFIG, pruner=many))
    assert folded.pruner == one
    assert reason


@pytest.mark.parametrize(
    "name",
    ["snip", "iterative_snip", "force", "grasp", "prospr", "synflow", "synflow_l2", "phew", "ntk_sap", "mine:Own"],
)
def test_rounds_do_not_fold_where_scores_change(name: str) -> None:
    many = replace(CONFIG, pruner=PrunerConfig(name=name, iterations=3))
    assert fold(many) == (many, "")


def test_with_one_round_the_schedule_folds() -> None:
    linear = replace(CONFIG, pruner=replace(CONFIG.pruner, schedule="linear"))
    assert fold(linear)[0] == CONFIG


def test_stops_of_a_schedule_beyond_the_target_fold() -> None:
    spelled_out = replace(CONFIG, pruner=replace(CONFIG.pruner, schedule="0.5,0.2,0.05", iterations=4))
    at_a_tenth = fold(spelled_out)[0].pruner
    assert (at_a_tenth.schedule, at_a_tenth.iterations) == ("0.5,0.2", 3)
    at_a_half = fold(replace(spelled_out, density=Decimal("0.5")))[0].pruner
    assert (at_a_half.schedule, at_a_half.iterations) == ("exponential", 1)
    magnitude = fold(replace(spelled_out, pruner=replace(spelled_out.pruner, name="magnitude")))[0].pruner
    assert (magnitude.schedule, magnitude.iterations, magnitude.mode) == ("exponential", 1, "eval")


@given(st.builds(Seeds, init=st.integers(0, 99), data=st.integers(0, 99), prune=st.integers(0, 99)))
def test_folding_twice_is_folding_once(seeds: Seeds) -> None:
    for density in (Decimal(1), Decimal("0.5")):
        once, _ = fold(replace(CONFIG, seeds=seeds, density=density))
        assert fold(once)[0] == once


def test_stops_beyond_the_target_are_levels_that_are_not_visited() -> None:
    imp = replace(
        CONFIG,
        pruner=PrunerConfig(name="imp", schedule="0.8,0.64,0.512", mode="eval"),
        levels=LevelsConfig(pre_epochs=15, levels=4, rewind="weights"),
    )
    ids = set()
    for density, schedule, levels in [("0.6", "0.8,0.64", 3), ("0.64", "0.8", 2), ("0.8", "exponential", 1)]:
        folded, reason = fold(replace(imp, density=Decimal(density)))
        assert (folded.pruner.schedule, folded.levels.levels) == (schedule, levels)
        assert "stops of a schedule beyond the target are not visited" in reason
        assert folded.levels.rewind == "weights"
        assert fold(folded) == (folded, "")
        ids.add(trial_id(folded))
    assert len(ids) == 3


def test_the_dense_baseline_has_no_levels() -> None:
    imp = replace(CONFIG, pruner=PrunerConfig(name="imp"), levels=LevelsConfig(pre_epochs=15, rewind="weights"))
    assert fold(replace(imp, density=Decimal(1)))[0] == fold(replace(CONFIG, density=Decimal(1)))[0]


@pytest.mark.parametrize("name", ["random", "magnitude", "lamp", "erk", "synflow", "synflow_l2", "phew"])
def test_the_size_of_a_prune_set_that_is_not_seen_folds(name: str) -> None:
    few = replace(CONFIG, pruner=PrunerConfig(name=name, examples_per_class=3))
    assert fold(few)[0] == fold(replace(CONFIG, pruner=PrunerConfig(name=name)))[0]


@pytest.mark.parametrize("name", ["snip", "iterative_snip", "force", "grasp", "prospr", "ntk_sap", "mine:Own"])
def test_the_size_of_a_prune_set_that_is_seen_does_not_fold(name: str) -> None:
    few = replace(CONFIG, pruner=PrunerConfig(name=name, examples_per_class=3))
    assert fold(few) == (few, "")
