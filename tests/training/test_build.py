"""Names become objects: ours by table, a user's by import."""

from __future__ import annotations

import pytest
import torch

from pruning.criteria.grasp import Grasp
from training.build import build_criterion, build_model, load_dataset
from training.config import DatasetConfig, ModelConfig, PrunerConfig


def test_a_criterion_gets_its_options() -> None:
    criterion = build_criterion(PrunerConfig(name="grasp", options='{"temperature":7.0}'))
    assert isinstance(criterion, Grasp)
    assert criterion.temperature == 7.0


def test_ours_and_the_same_class_by_import_are_one_network() -> None:
    ours, imported = (
        build_model(ModelConfig(name=name), input_shape=(1, 8, 8), num_classes=10, init_seed=0)
        for name in ("mlp", "models.mlp:MLP")
    )
    for one, two in zip(ours.parameters(), imported.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_users_factory_must_return_a_module() -> None:
    with pytest.raises(TypeError, match=r"model builtins:dict: returned dict, expected a torch\.nn\.Module"):
        build_model(ModelConfig(name="builtins:dict"), input_shape=(1, 8, 8), num_classes=10, init_seed=0)


def test_a_users_loader_must_return_a_data_set() -> None:
    with pytest.raises(TypeError, match="data set builtins:dict: returned dict, expected a Dataset"):
        load_dataset(DatasetConfig(name="builtins:dict"))
