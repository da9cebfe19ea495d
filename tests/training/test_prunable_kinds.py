"""A trial in which more than weights may be pruned: from the sweep file to trained tensors."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from orchestrator.expand import expand
from orchestrator.identity import fold, trial_id
from orchestrator.sources import UserCode
from orchestrator.sweepfile import parse_sweep
from pruning.prunable import prunable_weights
from training.capacity import capacity
from training.config import DatasetConfig, ModelConfig, TrialConfig
from training.context import CohortContext, build_network
from training.loop import train
from training.pruning_step import prune_model
from training.trial import run_trial

ALL = "weights,biases,batchnorm,residual"


def configs(prunable: str, *, pruner: str = "synflow, iterations: 3", scope: str = "global") -> list[TrialConfig]:
    text = f"""\
name: kinds
dataset: digits
model: {{name: resnet20, width: 4}}
pruner: {{name: {pruner}, prunable: {prunable}, scope: {scope}}}
sparsity: 0.9
training: {{epochs: 1}}
"""
    return list(expand(parse_sweep(text, name="kinds.yaml", folder=Path()).sweep, UserCode(Path())))


def test_what_is_prunable_is_one_choice_or_an_axis_and_part_of_a_trials_identity() -> None:
    (one,) = configs("[residual, weights, biases]")
    assert one.pruner.prunable == "weights,biases,residual"
    several = configs("[[weights], [weights, batchnorm]]")
    assert [config.pruner.prunable for config in several] == ["weights", "weights,batchnorm"]
    assert len({trial_id(fold(config)[0]) for config in several}) == 2


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_what_is_removed_stays_zero_and_identities_stay_open_through_training(optimizer: str) -> None:
    (config,) = configs(f"[{ALL}]", pruner="snip", scope="{first: 1, last: 1}")
    config = replace(config, training=replace(config.training, optimizer=optimizer, weight_decay=0.01, lr=0.01))
    context = CohortContext("cpu")
    model = build_network(config, context)
    masks = prune_model(model, config, context).masks
    before = {name: weight.detach().clone() for name, weight in prunable_weights(model).items()}
    list(train(model, masks, context.dataset(config.dataset), config.training, 0))
    kinds = {name.rsplit(".", 1)[1] for name in masks}
    assert kinds == {"weight", "bias", "scale"}
    for name, weight in prunable_weights(model).items():
        assert not weight[~masks[name]].any(), name
        if name.endswith("scale"):
            assert bool((weight[masks[name]] == 1).all()), name
        elif masks[name].any():
            assert not torch.equal(weight[masks[name]], before[name][masks[name]]), name
    assert masks["conv.weight"].all()
    assert masks[list(masks)[-1]].all()


def test_a_trial_counts_all_that_is_prunable_and_collapses_by_layers() -> None:
    (config,) = configs(f"[{ALL}]")
    record = run_trial(config, CohortContext("cpu"))
    total = sum(layer.num_weights for layer in record.layers)
    assert sum(layer.kept for layer in record.layers) == round(Fraction(1, 10) * total)
    limits = capacity(DatasetConfig(name="digits"), config.model, prunable=ALL)
    assert (limits.num_weights, limits.num_layers) == (total, sum(layer.is_layer for layer in record.layers))
    assert record.num_collapsed_layers == 0
    assert record.is_connected


def test_a_model_that_has_nothing_of_a_kind_is_refused_at_planning() -> None:
    with pytest.raises(ValueError, match="MLP has no prunable batchnorm"):
        capacity(DatasetConfig(name="digits"), ModelConfig(name="mlp"), prunable="weights,batchnorm")
    assert not capacity(DatasetConfig(name="digits"), ModelConfig(name="mlp"), prunable="weights,biases").is_beyond(
        Decimal(1)
    )
