"""Which engine trains a trial, and that it makes no difference to what is reported."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch

from training.config import DatasetConfig, LevelsConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext
from training.datasets.contract import Dataset, Split
from training.datasets.labels_only import without_images
from training.device import prepare_device
from training.evaluate import evaluate
from training.trial import run_trial

TRIAL = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="convnet", options='{"widths":[8,8]}'),
    pruner=PrunerConfig(name="snip", mode="train"),
    density=Decimal("0.2"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=2, lr=0.05, weight_decay=1e-3),
)
RECIPES = {
    "nesterov": TRIAL.training,
    "adam": TrainingConfig(epochs=2, optimizer="adam", lr=1e-3, momentum=0.0),
    "rmsprop, clipped": TrainingConfig(
        epochs=2, optimizer="rmsprop", lr=1e-3, momentum=0.0, epsilon=1e-3, clip_grad_norm=0.5
    ),
    "adamw, smoothed": TrainingConfig(
        epochs=2, optimizer="adamw", lr=1e-3, momentum=0.0, weight_decay=0.1, label_smoothing=0.1
    ),
    "cosine, decay of weights": replace(
        TRIAL.training, lr_schedule="cosine", warmup_epochs=1.0, weight_decay=0.01, weight_decay_on="weights"
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("pruner", ["snip", "synflow", "random"])
@pytest.mark.parametrize("density", ["1", "0.2", "0.02"])
def test_both_engines_give_the_same_trial_to_rounding(recipe: str, pruner: str, density: str) -> None:
    config = replace(
        TRIAL,
        training=RECIPES[recipe],
        density=Decimal(density),
        pruner=PrunerConfig(name="none") if density == "1" else PrunerConfig(name=pruner),
    )
    compact, reference = (run_trial(config, CohortContext("cpu", engine=one)) for one in ("compact", "reference"))
    assert (compact.execution.engine, reference.execution.engine) == ("compact", "reference")
    assert (compact.layers, compact.rounds) == (reference.layers, reference.rounds)
    for one, other in zip(compact.epochs, reference.epochs, strict=True):
        assert one.lr == other.lr
        # float32, 9 steps an epoch: rounding differs, and grows from step to step. With a small epsilon RMSprop would
        # take whole steps along gradients of rounding noise.
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-3)


LEVELS = {
    "after training": LevelsConfig(pre_epochs=1),
    "fine-tuned": LevelsConfig(pre_epochs=2, levels=2, fine_tune_epochs=1),
    "weights rewound": LevelsConfig(pre_epochs=2, levels=2, rewind="weights", rewind_step=3),
    "learning rate rewound": LevelsConfig(pre_epochs=2, levels=2, rewind="lr"),
}


@pytest.mark.parametrize("recipe", ["nesterov", "adamw, smoothed"])
@pytest.mark.parametrize("density", ["0.1", "0.004"])
@pytest.mark.parametrize("levels", LEVELS)
def test_both_engines_prune_after_training_alike(levels: str, density: str, recipe: str) -> None:
    config = replace(
        TRIAL,
        training=RECIPES[recipe],
        pruner=PrunerConfig(name="magnitude"),
        density=Decimal(density),
        levels=LEVELS[levels],
    )
    compact, reference = (run_trial(config, CohortContext("cpu", engine=one)) for one in ("compact", "reference"))
    assert (compact.execution.engine, compact.fallback) == ("compact", "")
    assert reference.execution.engine == "reference"
    assert [one.kept for one in compact.rounds] == [one.kept for one in reference.rounds]
    for one, other in zip(compact.epochs, reference.epochs, strict=True):
        assert (one.level, one.epoch, one.lr) == (other.level, other.epoch, other.lr)
        # rounding may part two weights at a cut
        assert one.train_loss == pytest.approx(other.train_loss, rel=2e-3)
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-2)


def test_a_collapsed_network_is_flagged_and_trains_on_labels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(TRIAL, pruner=PrunerConfig(name="magnitude"), density=Decimal("0.004"))
    context = CohortContext("cpu")
    dataset = context.dataset(config.dataset)
    assert isinstance(dataset.train, Split)
    images = dataset.train.images
    reference = run_trial(config, CohortContext("cpu", engine="reference"))
    images.fill_(float("nan"))  # whoever looked at them would be found out
    record = run_trial(config, context)
    assert record.is_connected is False
    assert record.num_collapsed_layers > 0
    assert [one.test_accuracy for one in record.epochs] == [one.test_accuracy for one in reference.epochs]
    assert record.epochs[-1].train_loss == pytest.approx(reference.epochs[-1].train_loss, rel=1e-5)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (replace(TRIAL, pruner=PrunerConfig(name="rigl", options='{"every":5}')), "masks change during training"),
        (replace(TRIAL, pruner=replace(TRIAL.pruner, prunable="weights,biases")), "prunable are weights,biases"),
        (
            replace(
                TRIAL,
                pruner=replace(TRIAL.pruner, ablation="shuffle"),
                levels=LevelsConfig(pre_epochs=1, levels=2, rewind="lr"),
            ),
            "the shuffled mask brings back weights that earlier levels removed",
        ),
    ],
)
def test_what_needs_the_full_network_says_so_in_the_record(config: TrialConfig, reason: str) -> None:
    record = run_trial(config, CohortContext("cpu"))
    assert (record.execution.engine, record.fallback) == ("reference", reason)
    asked_for = run_trial(config, CohortContext("cpu", engine="reference"))
    assert (asked_for.execution.engine, asked_for.fallback) == ("reference", "")
    assert asked_for.epochs == record.epochs


def test_a_construct_that_is_not_understood_is_trained_masked_dense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_layer_norm.py").write_text(
        "from torch import nn\n"
        "def normed(*, input_shape, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.LayerNorm(20), nn.ReLU(), nn.Linear(20, 10))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    record = run_trial(replace(TRIAL, model=ModelConfig(name="users_layer_norm:normed")), CohortContext("cpu"))
    assert record.execution.engine == "reference"
    assert "LayerNorm" in record.fallback


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="engine 'quick': expected one of compact, fused, reference"):
        prepare_device("cpu", "quick")


def test_labels_are_counted_in_the_same_batches_without_images() -> None:
    split = Split(images=torch.randn(10, 1, 2, 2), labels=torch.arange(10) % 3)
    dataset = Dataset(train=split, validation=split, test=split, num_classes=3)
    blank = without_images(dataset)
    for order in (None, torch.tensor([3, 1, 4, 1, 5])):
        expected = [(len(batch), batch.bincount(minlength=3).tolist()) for _, batch in split.batches(order, 4)]
        counted = [(images.shape, counts.tolist()) for images, counts in blank.train.batches(order, 4)]
        assert counted == [((num, 0), counts) for num, counts in expected]
    assert blank.input_shape == (1, 2, 2)
    constant = torch.nn.Module()
    constant.forward = lambda images: torch.tensor([[0.0, 1.0, 0.5]]).expand(len(images), 3)
    full, short = evaluate(constant, split), evaluate(constant, blank.test)
    assert full is not None
    loss: Any = pytest.approx(full.loss, rel=1e-6)
    assert short == replace(full, loss=loss)
