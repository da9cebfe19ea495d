"""What a cohort shares, and what it must not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pruning.prune import Pruned
from pruning.table import PRUNERS
from pruning.unit_groups import UnitGroups, unit_groups
from training import journey, known_prunings
from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext, scored_at_once
from training.datasets.contract import Split
from training.pruning_step import prune_model
from training.record import LayerRecord
from training.trial import run_trial

PROBE = """
from pruning.criteria.magnitude import Magnitude

SEEN = []


class Probe(Magnitude):
    def __init__(self, sign=1):
        pass

    def score(self, model, data, generator):
        SEEN.append((data, generator.initial_seed()))
        return super().score(model, data, generator)
"""

TRIAL = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="mlp", options='{"widths":[8]}'),
    pruner=PrunerConfig(name="probe_criterion:Probe"),
    density=Decimal("0.5"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=0),
)


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a user's criterion was given, one entry a scoring."""
    (tmp_path / "probe_criterion.py").write_text(PROBE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("probe_criterion").SEEN
    del sys.modules["probe_criterion"]


def scorings(seen: list[Any], *configs: TrialConfig) -> int:
    before = len(seen)
    context = CohortContext("cpu")
    for config in configs:
        run_trial(config, context)
    return len(seen) - before


def changed(part: str, **fields: Any) -> TrialConfig:
    return replace(TRIAL, **{part: replace(getattr(TRIAL, part), **fields)})


def test_trials_that_differ_in_density_schedule_scope_or_training_share_the_first_scoring(seen: list[Any]) -> None:
    others = [
        replace(TRIAL, density=Decimal("0.1")),
        changed("pruner", schedule="linear"),
        changed("pruner", scope="local"),
        changed("training", epochs=1),
    ]
    assert scorings(seen, TRIAL, *others) == 1


@pytest.mark.parametrize(
    "other",
    [
        changed("pruner", options='{"sign":2}'),
        changed("pruner", source_hash="edited"),
        changed("pruner", mode="train"),
        changed("pruner", score_dtype="float64"),
        changed("pruner", examples_per_class=9),
        changed("seeds", init=1),
        changed("seeds", prune=1),
        changed("model", options='{"widths":[9]}'),
        changed("dataset", validation="300"),
    ],
)
def test_trials_that_differ_in_what_scores_depend_on_share_nothing(seen: list[Any], other: TrialConfig) -> None:
    assert scorings(seen, TRIAL, other, replace(TRIAL, density=Decimal("0.1"))) == 3


def test_later_rounds_are_scored_every_time_from_a_seed_of_their_own(seen: list[Any]) -> None:
    config = changed("pruner", iterations=3)
    assert scorings(seen, config, replace(config, density=Decimal("0.1"))) == 3 + 2
    seeds = [seed for _, seed in seen]
    assert len(set(seeds[:3])) == 3
    assert seeds[3:] == seeds[1:3]


def test_the_prune_set_is_ten_examples_a_class_of_the_training_set_chosen_by_the_prune_seed(seen: list[Any]) -> None:
    scorings(seen, TRIAL, changed("seeds", init=5), changed("pruner", options='{"sign":2}'), changed("seeds", prune=5))
    first, *same, other = [data for data, _ in seen]
    train = CohortContext("cpu").dataset(TRIAL.dataset).train
    assert isinstance(train, Split)
    pool = {
        (tuple(image.flatten().tolist()), int(label)) for image, label in zip(train.images, train.labels, strict=True)
    }
    chosen = {(tuple(i.flatten().tolist()), int(label)) for i, label in zip(first.inputs, first.targets, strict=True)}
    assert len(chosen) == len(first.targets) == 100
    assert chosen <= pool
    assert len(same) == 2
    assert all(torch.equal(data.inputs, first.inputs) and torch.equal(data.targets, first.targets) for data in same)
    assert not torch.equal(other.inputs, first.inputs)


def test_consecutive_trials_of_one_network_share_its_groups_of_units(monkeypatch: pytest.MonkeyPatch) -> None:
    import training.context

    seen: list[nn.Module] = []

    def counted(model: nn.Module, input_shape: tuple[int, ...]) -> UnitGroups:
        seen.append(model)
        return unit_groups(model, input_shape)

    monkeypatch.setattr(training.context, "unit_groups", counted)
    context = CohortContext("cpu")
    plain = replace(TRIAL, pruner=PrunerConfig(name="magnitude"))
    for config in (plain, replace(plain, density=Decimal("0.1")), replace(plain, pruner=PrunerConfig(name="random"))):
        run_trial(config, context)
    assert len(seen) == 1
    run_trial(replace(plain, model=ModelConfig(name="mlp", options='{"widths":[9]}')), context)
    run_trial(replace(plain, seeds=replace(plain.seeds, init=1)), context)
    assert len(seen) == 3
    run_trial(replace(plain, pruner=PrunerConfig(name="none"), density=Decimal(1)), context)  # nothing was scored
    assert len(seen) == 3


def test_consecutive_trials_share_one_data_set() -> None:
    context = CohortContext("cpu")
    first = context.dataset(DatasetConfig(name="digits"))
    assert context.dataset(DatasetConfig(name="digits")) is first
    own = DatasetConfig(name="training.datasets.digits:load")
    assert context.dataset(own) is not first
    assert context.dataset(own) is context.dataset(own)


def test_the_prune_set_has_as_many_examples_as_asked_for(seen: list[Any]) -> None:
    scorings(seen, changed("pruner", examples_per_class=3))
    assert len(seen[-1][0].targets) == 30


def test_a_prune_set_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(ValueError, match="examples_per_class 110 x 10 classes make 1100 images, more than the 1097"):
        run_trial(replace(TRIAL, pruner=PrunerConfig(name="snip", examples_per_class=110)), CohortContext("cpu"))


def test_the_prune_set_leaves_out_what_is_held_out() -> None:
    context = CohortContext("cpu")
    asked = changed("dataset", validation="1200")
    dataset = context.dataset(asked.dataset)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (97, 1200, 500)


@pytest.mark.parametrize("name", [name for name, entry in PRUNERS.items() if not entry.reads_prune_set])
def test_pruners_said_to_see_no_examples_score_alike_whatever_the_prune_set(name: str) -> None:
    def layers(examples: int) -> list[LayerRecord]:
        pruner = PrunerConfig(name=name, examples_per_class=examples, score_dtype="float64")
        return run_trial(replace(TRIAL, pruner=pruner), CohortContext("cpu")).layers

    assert layers(1) == layers(20)


def test_the_execution_class_says_in_which_precision_a_trial_trained() -> None:
    context = CohortContext("cpu")
    assert run_trial(changed("pruner", name="random"), context).execution.dtype == "float32"
    coarse = replace(changed("pruner", name="random"), training=TrainingConfig(epochs=1, precision="bf16"))
    assert run_trial(coarse, context).execution.dtype == "bf16"


def test_an_epoch_is_selected_on_the_validation_split_asked_for() -> None:
    context = CohortContext("cpu")
    pruner = PrunerConfig(name="random")
    asked = replace(TRIAL, pruner=pruner, training=TrainingConfig(epochs=3))
    records = {
        validation: run_trial(replace(asked, dataset=DatasetConfig(name="digits", validation=validation)), context)
        for validation in ("0", "300", "own")
    }
    assert [record.num_train for record in records.values()] == [1297, 997, 1097]
    assert records["0"].selected is None
    chosen = records["300"].selected
    assert chosen is not None
    assert chosen.validation_accuracy == max(epoch.validation_accuracy or 0 for epoch in records["300"].epochs)
    assert all(round((epoch.validation_accuracy or 0) * 300, 6) % 1 == 0 for epoch in records["300"].epochs)


def test_trials_that_differ_in_training_alone_are_pruned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    num_prunings = 0

    def counting(*arguments: Any, **options: Any) -> Pruned:
        nonlocal num_prunings
        num_prunings += 1
        return prune_model(*arguments, **options)

    monkeypatch.setattr(journey, "prune_model", counting)
    base = replace(TRIAL, pruner=PrunerConfig(name="synflow", iterations=3, score_dtype="float64"))
    configs = [
        replace(base, density=density, training=replace(base.training, lr=lr), seeds=replace(base.seeds, data=data))
        for lr in (0.1, 0.05)
        for data in (0, 1)
        for density in (Decimal("0.2"), Decimal("0.1"))
    ]
    context = CohortContext("cpu", save_masks=True)
    together = [replace(run_trial(config, context), seconds={}) for config in configs]
    assert num_prunings == 2
    assert together == [
        replace(run_trial(config, CohortContext("cpu", save_masks=True)), seconds={}) for config in configs
    ]
    for other in (
        replace(base, seeds=replace(base.seeds, init=1), density=Decimal("0.2")),
        replace(base, seeds=replace(base.seeds, prune=1), density=Decimal("0.2")),
        replace(base, pruner=replace(base.pruner, iterations=2), density=Decimal("0.2")),
    ):
        before = num_prunings
        run_trial(other, context)
        assert num_prunings == before + 1


def test_known_prunings_make_room_for_new_ones(seen: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    context = CohortContext("cpu")
    record = run_trial(TRIAL, context)
    monkeypatch.setattr(known_prunings, "MEMORY_BYTES", 3 * sum(layer.num_weights for layer in record.layers))
    for seed in range(5):
        run_trial(replace(TRIAL, seeds=replace(TRIAL.seeds, init=seed)), context)
    assert len(context.known_prunings._known) == 3


@pytest.mark.parametrize(
    ("shape", "at_once"),
    [((1, 8, 8), 256), ((3, 32, 32), 256), ((3, 64, 64), 256), ((3, 224, 224), 20), ((3, 2048, 2048), 1)],
)
def test_large_images_are_scored_fewer_at_a_time(shape: tuple[int, int, int], at_once: int) -> None:
    assert scored_at_once(shape) == at_once
