"""A preset is the published table, can be overridden key by key, and leaves no trace in a trial but plain values."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.table import MODELS
from orchestrator.errors import BadInput
from orchestrator.expand import expand
from orchestrator.identity import fold, trial_id
from orchestrator.plan_view import preset_lines
from orchestrator.presets import Preset, load_presets
from orchestrator.recipe import TrainingSpec, contradiction, merged
from orchestrator.sources import UserCode
from orchestrator.sweepfile import SweepFile, parse_sweep
from training.config import TrainingConfig, TrialConfig
from training.datasets.table import DATASETS

PRESETS = load_presets()


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_names_data_sets_and_models_that_there_are(preset: Preset) -> None:
    assert set(preset.datasets) <= set(DATASETS)
    families = {entry.family for entry in MODELS.values()}
    assert {model for row in preset.rows for model in row.models} <= {*MODELS, *families}


def sweep_file(**lines: str) -> SweepFile:
    keys = {"name": "g", "preset": "synflow-cifar", "dataset": "digits", "model": "vgg16_bn"}
    keys |= {"pruner": "synflow", "sparsity": "0.9"} | lines
    text = "\n".join(f"{key}: {value}" for key, value in keys.items() if value)
    return parse_sweep(text, name="g.yaml", folder=Path())


def points(**lines: str) -> list[TrialConfig]:
    return list(expand(sweep_file(**lines).sweep, UserCode(Path())))


def complaint(**lines: str) -> str:
    with pytest.raises(BadInput) as caught:
        points(**lines)
    return str(caught.value)


NESTEROV = {"optimizer": "momentum", "momentum": 0.9, "nesterov": True, "batch_size": 128, "augment": True}
HEAVY_BALL = NESTEROV | {"nesterov": False}
STEP_60_120 = NESTEROV | {"epochs": 160, "lr_drops": (60, 120)}
TINY = {"epochs": 100, "lr": 0.01, "lr_drops": (30, 60, 80), "lr_drop_factor": 0.2, "weight_decay": 1e-4}
OPENLTH = HEAVY_BALL | {"epochs": 160, "lr": 0.1, "lr_drops": (80, 120), "lr_drop_factor": 0.1, "weight_decay": 1e-4}
ADAM_60 = {"optimizer": "adam", "momentum": 0.0, "batch_size": 60}


@pytest.mark.parametrize(
    ("preset", "model", "published"),
    [
        ("synflow-cifar", "vgg11_bn", STEP_60_120 | {"lr": 0.1, "lr_drop_factor": 0.1, "weight_decay": 1e-4}),
        ("synflow-cifar", "vgg16_bn", STEP_60_120 | {"lr": 0.1, "lr_drop_factor": 0.1, "weight_decay": 1e-4}),
        ("synflow-cifar", "resnet18", STEP_60_120 | {"lr": 0.01, "lr_drop_factor": 0.2, "weight_decay": 5e-4}),
        ("synflow-cifar", "wide_resnet18", STEP_60_120 | {"lr": 0.01, "lr_drop_factor": 0.2, "weight_decay": 5e-4}),
        *[
            ("synflow-tiny-imagenet", model, NESTEROV | TINY)
            for model in ("vgg11_bn", "vgg16_bn", "resnet18", "wide_resnet18")
        ],
        ("openlth-cifar", "resnet20", OPENLTH),
        ("openlth-cifar", "vgg16_bn", OPENLTH),
        ("lottery-mnist", "lenet_300_100", ADAM_60 | {"lr": 1.2e-3, "epochs": 55}),
        ("lottery-cifar", "conv2", ADAM_60 | {"lr": 2e-4, "epochs": 27}),
        ("lottery-cifar", "conv4", ADAM_60 | {"lr": 3e-4, "epochs": 34}),
        ("lottery-cifar", "conv6", ADAM_60 | {"lr": 3e-4, "epochs": 40}),
        (
            "wrn-cifar",
            "wrn28_10",
            NESTEROV
            | {"epochs": 200, "lr": 0.1, "lr_drops": (60, 120, 160), "lr_drop_factor": 0.2, "weight_decay": 5e-4},
        ),
    ],
)
def test_a_preset_trains_as_the_published_table_says(preset: str, model: str, published: dict[str, object]) -> None:
    (point,) = points(preset=preset, model=model)
    assert point.training == TrainingConfig(**({"nesterov": True} | published))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_names_its_source_known_models_and_sound_settings(name: str) -> None:
    preset = PRESETS[name]
    families = {entry.family for entry in MODELS.values()}
    assert preset.source
    assert preset.rows
    for row in preset.rows:
        assert set(row.models) <= families | set(MODELS)
        settings = preset.training_of_row(row)
        recipe = merged(settings, TrainingSpec())
        assert set(recipe.given) == set(settings), "a setting that nothing uses"
        assert contradiction(recipe, set(settings)) is None


def test_the_paper_scores_all_pruners_in_eval_mode_on_ten_examples_a_class_and_trains_on_everything() -> None:
    snip, synflow = points(pruner="[snip, synflow]")
    assert (snip.pruner.mode, snip.pruner.examples_per_class, snip.pruner.iterations) == ("eval", 10, 1)
    assert (synflow.pruner.mode, synflow.pruner.iterations, synflow.pruner.schedule) == ("eval", 100, "exponential")
    assert snip.dataset.validation == "0"


def test_models_of_one_sweep_train_each_by_its_own_row() -> None:
    vgg, resnet = points(model="[vgg16_bn, resnet18]")
    assert (vgg.training.lr, resnet.training.lr) == (0.1, 0.01)


def test_keys_of_the_file_take_precedence_one_by_one() -> None:
    published, *_ = points()
    (point,) = points(
        dataset="{name: digits, validation: 0.1}",
        pruner="{name: synflow, mode: train, iterations: 7, examples_per_class: 3}",
        training="{epochs: 130, lr: 0.05}",
    )
    assert (point.training.epochs, point.training.lr) == (130, 0.05)
    assert point.training.weight_decay == published.training.weight_decay == 1e-4
    assert (point.pruner.mode, point.pruner.iterations, point.pruner.examples_per_class) == ("train", 7, 3)
    assert point.dataset.validation == "0.1"


def test_another_optimizer_leaves_published_options_of_the_old_one_behind() -> None:
    (point,) = points(training="{optimizer: adam, lr: 0.001, lr_schedule: cosine}")
    assert (point.training.optimizer, point.training.lr_drops, point.training.momentum) == ("adam", (), 0.0)
    assert (point.training.weight_decay, point.training.epochs) == (1e-4, 160)


def test_a_trial_from_a_preset_and_one_spelled_out_are_one_trial() -> None:
    (preset,) = points()
    (spelled_out,) = points(
        preset="",
        dataset="{name: digits, validation: 0}",
        pruner="{name: synflow, iterations: 100, schedule: exponential, mode: eval}",
        training="{epochs: 160, lr: 0.1, weight_decay: 1.0e-4, lr_drops: [60, 120], augment: true}",
    )
    assert preset == spelled_out
    assert trial_id(fold(preset)[0]) == trial_id(fold(spelled_out)[0])
    assert "preset" not in preset.to_json()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            {"preset": "synflow-cifra"},
            "g.yaml:2: preset: unknown preset 'synflow-cifra': did you mean 'synflow-cifar'",
        ),
        (
            {"model": "[vgg16_bn, resnet20]"},
            "g.yaml:2: preset: preset synflow-cifar has no settings for model resnet20, only for vgg, resnet: take the",
        ),
        ({"model": "mine:Net"}, "g.yaml:2: preset: preset synflow-cifar has no settings for model mine:Net"),
        (
            {"training": "{epochs: 60}"},
            "g.yaml:7: training.epochs: a drop after epoch 60 of 60 changes nothing: drop before the last epoch (from "
            "preset synflow-cifar: write lr_drops as well)",
        ),
        ({"training": "{optimizer: sgd}"}, "g.yaml:7: training.optimizer: the learning rate of preset synflow-cifar"),
        (
            {"training": "{optimizer: adam, lr: 0.1, nesterov: true}"},
            "g.yaml:7: training.nesterov: nesterov is set but no optimizer here uses it: write optimizer: momentum",
        ),
    ],
)
def test_what_a_preset_cannot_answer_is_refused_with_the_remedy(lines: dict[str, str], expected: str) -> None:
    assert expected in complaint(**lines)


def test_the_plan_says_what_came_from_the_preset_and_what_from_the_file() -> None:
    text = "\n".join(preset_lines(sweep_file(model="[vgg16_bn, resnet18]", training="{lr: 0.3}")))
    assert "Tanaka" in text
    assert "vgg16_bn: epochs 160, optimizer momentum" in text
    assert "resnet18: epochs 160" in text
    assert "weight_decay 0.0005" in text
    assert "lr 0.1" not in text
    assert "written in the file: lr 0.3" in text
    assert "published for cifar10, cifar100, used here on digits" in text


def test_without_a_preset_the_plan_says_nothing_of_one() -> None:
    assert preset_lines(sweep_file(preset="", training="{epochs: 1}")) == []


def test_a_preset_of_one_pruner_goes_before_that_of_all() -> None:
    preset = Preset.model_validate(
        {"summary": "s", "source": "s", "datasets": [], "training": {}, "rows": []}
        | {"pruner": {"mode": "eval", "iterations": 5}, "pruners": {"snip": {"iterations": 7}}}
    )
    assert preset.of_pruner("snip", "iterations", 1) == 7
    assert preset.of_pruner("snip", "mode", "train") == "eval"
    assert preset.of_pruner("grasp", "iterations", 1) == 5
    assert preset.of_pruner("grasp", "score_dtype", "float32") == "float32"
