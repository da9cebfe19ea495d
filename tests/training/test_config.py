"""Configurations are values: hashable, with one stable text that every field changes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import (
    Component,
    DatasetConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
    options_text,
)

names = st.text(min_size=1, max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
options = st.dictionaries(st.text(max_size=4), json_values, max_size=3).map(options_text)
finite = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**63), 2**63)
named: dict[str, Any] = {"name": names, "options": options, "source_hash": st.text(max_size=8)}
trials = st.builds(
    TrialConfig,
    dataset=st.builds(DatasetConfig, **named, validation=names),
    model=st.builds(ModelConfig, **named),
    pruner=st.builds(
        PrunerConfig, **named, iterations=integers, schedule=names, scope=names, mode=names, score_dtype=names
    ),
    density=st.integers(1, 10**12).map(lambda n: Decimal(n).scaleb(-12).normalize()),
    seeds=st.builds(Seeds, init=integers, data=integers, prune=integers),
    training=st.builds(
        TrainingConfig,
        epochs=integers,
        optimizer=names,
        lr=finite,
        momentum=finite,
        weight_decay=finite,
        batch_size=integers,
        lr_drops=st.lists(integers, max_size=4).map(tuple),
        lr_drop_factor=finite,
    ),
)

EXAMPLE = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="mlp", options='{"widths":[8]}'),
    pruner=PrunerConfig(name="synflow", iterations=100, score_dtype="float64"),
    density=Decimal("0.0001"),
    seeds=Seeds(init=1, data=2, prune=3),
    training=TrainingConfig(epochs=2, lr_drops=(1,)),
)


@given(trials)
def test_json_reads_back_equal_with_the_same_text_and_hash(config: TrialConfig) -> None:
    text = config.to_json()
    read = TrialConfig.from_json(text)
    assert read == config
    assert hash(read) == hash(config)
    assert read.to_json() == text


def test_the_text_of_a_trial_is_this() -> None:
    assert EXAMPLE.to_json() == (
        '{"dataset":{"name":"digits","options":"{}","source_hash":"","validation":"own"},'
        '"density":"0.0001","levels":{"fine_tune_epochs":0,"levels":1,"pre_epochs":0,"rewind":"none",'
        '"rewind_step":0},"model":{"name":"mlp","options":"{\\"widths\\":[8]}","source_hash":""},'
        '"pruner":{"ablation":"none","examples_per_class":10,"iterations":100,"mode":"eval",'
        '"name":"synflow","options":"{}","prunable":"weights","schedule":"exponential","scope":"global",'
        '"score_dtype":"float64","source_hash":""},"seeds":{"data":2,"init":1,"prune":3},'
        '"training":{"augment":false,"batch_size":128,"beta1":0.9,"beta2":0.999,"clip_grad_norm":0.0,'
        '"epochs":2,"epsilon":1e-08,"label_smoothing":0.0,"lr":0.1,"lr_drop_factor":0.1,"lr_drops":[1],'
        '"lr_schedule":"step","momentum":0.9,"nesterov":true,"optimizer":"momentum",'
        '"precision":"float32","rmsprop_alpha":0.99,"warmup_epochs":0.0,"weight_decay":0.0,'
        '"weight_decay_on":"all"}}'
    )


@pytest.mark.parametrize("part", ["dataset", "model", "pruner", "seeds", "training"])
def test_every_field_changes_the_fragment(part: str) -> None:
    component: Component = getattr(EXAMPLE, part)
    for field in fields(component):
        value = getattr(component, field.name)
        other = {str: lambda v: v + "x", tuple: lambda v: (*v, 7), bool: lambda v: not v}.get(
            type(value), lambda v: v + 1
        )(value)
        changed = replace(component, **{field.name: other})
        assert changed != component
        assert changed.fragment != component.fragment


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"optimizer": "adam", "momentum": 0.5, "nesterov": False}, {"optimizer": "adam"}),
        ({"optimizer": "sgd", "beta1": 0.5, "epsilon": 1.0, "rmsprop_alpha": 0.5}, {"optimizer": "sgd"}),
        ({"optimizer": "rmsprop", "beta2": 0.5, "momentum": 0.0}, {"optimizer": "rmsprop"}),
        ({"lr_drops": (9, 5, 40), "lr_drop_factor": 0.2}, {"lr_drops": (5, 9), "lr_drop_factor": 0.2}),
        ({"lr_drops": (10,), "lr_drop_factor": 0.2}, {}),
        ({"lr_schedule": "cosine", "lr_drops": (5,), "lr_drop_factor": 0.2}, {"lr_schedule": "cosine"}),
        ({"weight_decay_on": "weights"}, {}),
    ],
)
def test_what_trains_alike_folds_into_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    folded = TrainingConfig(epochs=10, **one).folded()
    assert folded == TrainingConfig(epochs=10, **other).folded() == folded.folded()


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "beta1": 0.5},
        {"optimizer": "adamw", "epsilon": 1.0},
        {"optimizer": "rmsprop", "rmsprop_alpha": 0.5},
        {"nesterov": False},
        {"lr_drops": (5,), "lr_drop_factor": 0.2},
        {"weight_decay": 0.1, "weight_decay_on": "weights"},
    ],
)
def test_what_is_used_does_not_fold(options: dict[str, Any]) -> None:
    folded = TrainingConfig(epochs=10, **options).folded()
    assert {name: getattr(folded, name) for name in options} == options


def test_equal_fields_of_different_kinds_have_different_fragments() -> None:
    assert (
        DatasetConfig(name="a").fragment
        == 'DatasetConfig{"name":"a","options":"{}","source_hash":"","validation":"own"}'
    )
    assert DatasetConfig(name="a").fragment != ModelConfig(name="a").fragment


def test_options_have_one_text_whatever_their_order() -> None:
    assert (
        options_text({"b": [1, 2.5], "a": None}) == options_text({"a": None, "b": (1, 2.5)}) == '{"a":null,"b":[1,2.5]}'
    )
    assert ModelConfig(name="mlp", options='{"widths":[8]}').kwargs == {"widths": [8]}


@pytest.mark.parametrize("value", [{1, 2}, object(), Decimal(1)])
def test_options_that_json_cannot_hold_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        options_text({"a": value})


def test_options_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        options_text({"a": float("nan")})


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        EXAMPLE.training.epochs = 3  # type: ignore[misc]
