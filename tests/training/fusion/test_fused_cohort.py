"""The fused engine runs cohorts: same trials, same order, a failure costs one of them, a kill costs seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.convnet import ConvNet
from orchestrator.store.layout import Store
from pruning.masks import Scores
from pruning.scoring import score_network
from training import context as context_module
from training import trial as trial_module
from training.config import DatasetConfig, LevelsConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext
from training.fusion import grouping
from training.fusion.grouping import Candidate
from training.fusion.together import Together
from training.loop import Training
from training.record import EpochRecord, TrialRecord
from training.snapshots import Interrupted, Wish
from training.trial import run_cohort, run_trial

TRIAL = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="convnet", options='{"widths":[6,8]}'),
    pruner=PrunerConfig(name="synflow"),
    density=Decimal("0.3"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=2, lr=0.05, weight_decay=1e-3),
)


def of_seed(seed: int, config: TrialConfig = TRIAL) -> TrialConfig:
    return replace(config, seeds=Seeds(init=seed, data=seed, prune=seed))


SEEDS = [of_seed(seed) for seed in range(4)]


@pytest.fixture
def all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many side by side as there are, whether or not that is faster here."""
    monkeypatch.setattr(grouping, "fastest_number", len)


def fused(shelf: Store | None = None, *, seconds: float = math.inf, wish: Wish = Wish.NONE) -> CohortContext:
    return CohortContext("cpu", engine="fused", shelf=shelf, checkpoint_seconds=seconds, wish=lambda: wish)


def assert_close(found: TrialRecord, expected: TrialRecord) -> None:
    """float32, 18 steps: rounding has not grown far."""
    assert (found.config, found.error) == (expected.config, None)
    assert (found.layers, found.rounds, found.masks) == (expected.layers, expected.rounds, expected.masks)
    assert [one.epoch for one in found.epochs] == [one.epoch for one in expected.epochs]
    for one, other in zip(found.epochs, expected.epochs, strict=True):
        assert one.lr == other.lr
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-3)


@pytest.mark.usefixtures("all_at_once")
def test_a_cohort_is_fused_to_what_its_trials_are_alone() -> None:
    others = [
        replace(TRIAL, pruner=PrunerConfig(name="none"), density=Decimal(1)),
        replace(TRIAL, density=Decimal("0.001")),
        replace(TRIAL, pruner=PrunerConfig(name="magnitude"), levels=LevelsConfig(pre_epochs=1)),
        replace(TRIAL, pruner=PrunerConfig(name="gmp", options='{"every":5}')),
        replace(TRIAL, training=replace(TRIAL.training, lr=0.01)),
        replace(TRIAL, training=replace(TRIAL.training, epochs=0)),
    ]
    configs = [SEEDS[0], *others[:3], *SEEDS[1:], *others[3:]]
    records = list(run_cohort(configs, fused()))
    for config, record in zip(configs, records, strict=True):
        assert_close(record, run_trial(config, CohortContext("cpu")))
    told = {record.config: (record.execution.engine, record.fused_with, record.fallback) for record in records}
    assert [told[config] for config in SEEDS] == [("fused", 5, "")] * 4
    assert [told[config] for config in others[:5]] == [
        ("fused", 5, ""),  # dense, but as wide: no channel of the others is empty
        ("compact", None, "the network has collapsed: its constant-input tail alone is trained"),
        ("compact", None, "training goes on between prunings"),
        ("reference", None, "masks change during training"),
        ("fused", 1, ""),
    ]
    # one by one it is the compact engine's training, to the bit
    alone = records[configs.index(others[4])]
    assert alone.epochs == run_trial(others[4], CohortContext("cpu")).epochs


@pytest.mark.usefixtures("all_at_once")
def test_what_a_group_took_is_shared_out() -> None:
    records = list(run_cohort(SEEDS, fused()))
    seconds = [record.seconds["train"] for record in records]
    assert max(seconds) < 3 * min(seconds)
    assert all(record.seconds.keys() == {"load", "build", "prune", "train"} for record in records)


@pytest.mark.usefixtures("all_at_once")
def test_a_trial_that_raises_costs_itself_alone() -> None:
    def check(config: TrialConfig) -> None:
        if config == SEEDS[2]:
            raise RuntimeError("what it reads has changed")

    broken = replace(SEEDS[1], pruner=PrunerConfig(name="synflow", scope="nonsense"))
    records = list(run_cohort([SEEDS[0], broken, SEEDS[2], SEEDS[3]], fused(), check))
    assert [record.error.message if record.error else None for record in records][::3] == [None, None]
    assert "nonsense" in records[1].error.message if records[1].error else False
    assert records[2].error is not None
    assert records[2].error.message == "what it reads has changed"
    assert [record.fused_with for record in records] == [2, None, None, 2]


class Normalised(nn.Sequential):
    """A linear layer whose units are normalised over the batch, which torch refuses to do for a single image."""

    def __init__(self, *, input_shape: tuple[int, int, int], num_classes: int) -> None:
        layers = nn.Linear(math.prod(input_shape), 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, num_classes)
        super().__init__(nn.Flatten(), *layers)


@pytest.mark.usefixtures("all_at_once")
def test_training_that_raises_beside_others_fails_its_own_trials() -> None:
    num_train = len(CohortContext("cpu").dataset(TRIAL.dataset).train)
    training = replace(TRIAL.training, batch_size=(num_train - 1) // 4)
    assert num_train % training.batch_size == 1
    model = ModelConfig(name=f"{__name__}:Normalised")
    broken = [of_seed(seed, replace(TRIAL, model=model, training=training)) for seed in (0, 1)]
    records = list(run_cohort([SEEDS[0], broken[0], SEEDS[1], broken[1]], fused()))
    assert [record.config for record in records] == [SEEDS[0], broken[0], SEEDS[1], broken[1]]
    assert [record.error is None for record in records] == [True, False, True, False]
    assert all("more than 1 value per channel" in record.error.message for record in records if record.error)
    assert [record.fused_with for record in records][::2] == [2, 2]


def now_and_then_exploding(*, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """A small network that half of the seeds give weights beyond every measure."""
    model = ConvNet(input_shape=input_shape, num_classes=num_classes, widths=(13, 16))
    if torch.rand(()) < 0.5:
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(3e38)
    return model


@pytest.mark.usefixtures("all_at_once")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_network_that_diverges_spoils_no_other(precision: str, tmp_path: Path) -> None:
    # in bfloat16 torch's grouped convolutions multiply a neighbour's NaN by zero, on CPUs
    model, training = (
        ModelConfig(name=f"{__name__}:now_and_then_exploding"),
        replace(TRIAL.training, precision=precision),
    )
    random = PrunerConfig(name="random")
    configs = [of_seed(seed, replace(TRIAL, model=model, pruner=random, training=training)) for seed in range(6)]
    records = list(run_cohort(configs, fused(Store(tmp_path), seconds=0.0)))
    is_finite = [math.isfinite(record.epochs[-1].test_loss) for record in records]
    alone = [run_trial(config, CohortContext("cpu")) for config in configs]
    assert is_finite == [math.isfinite(record.epochs[-1].test_loss) for record in alone]
    assert len(set(is_finite)) == 2
    for found, expected in zip(records, alone, strict=True):
        if math.isfinite(expected.epochs[-1].test_loss):
            assert_close(found, expected)


@pytest.mark.usefixtures("all_at_once")
def test_where_memory_runs_out_for_several_each_is_trained_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    monkeypatch.setattr(Together, "__init__", full)
    records = list(run_cohort(SEEDS, fused()))
    assert [(record.error, record.fused_with) for record in records] == [(None, 1)] * 4


@pytest.mark.usefixtures("all_at_once")
@pytest.mark.parametrize("after", [1, 9, 14])
def test_a_group_that_is_told_to_leave_goes_on_where_it_was(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = list(run_cohort(SEEDS, fused()))
    steps = 0
    shelf = Store(tmp_path)
    take_step: Callable[..., None] = Together.take_step

    def counted(self: Together, *arguments: object) -> None:
        nonlocal steps
        steps += 1
        take_step(self, *arguments)

    monkeypatch.setattr(Together, "take_step", counted)
    context = fused(shelf, wish=Wish.LEAVE)
    monkeypatch.setattr(context.snapshots, "is_due", lambda: steps >= after)
    with pytest.raises(Interrupted):
        list(run_cohort(SEEDS, context))
    assert len(shelf.folders("checkpoints")) == 4
    taken_before, steps = steps, 0
    records = list(run_cohort(SEEDS, fused(shelf)))
    assert taken_before + steps == 2 * 9
    assert [record.fused_with for record in records] == [4] * 4
    for record, expected in zip(records, undisturbed, strict=True):
        assert record.epochs == expected.epochs  # the same four beside each other: the same bits
        assert record.seconds["train"] > 0


@pytest.mark.usefixtures("all_at_once")
def test_a_trial_that_leaves_puts_aside_those_trained_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = list(run_cohort(SEEDS, fused()))
    shelf, by_itself = Store(tmp_path), replace(SEEDS[0], training=replace(TRIAL.training, lr=0.01))
    context = fused(shelf, wish=Wish.LEAVE)
    run: Callable[..., Iterator[EpochRecord]] = Training.run

    def asked(self: Training, *arguments: object) -> Iterator[EpochRecord]:
        monkeypatch.setattr(context.snapshots, "is_due", lambda: True)
        return run(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "run", asked)
        with pytest.raises(Interrupted):
            list(run_cohort([by_itself, *SEEDS], context))
    assert len(shelf.folders("checkpoints")) == 5
    monkeypatch.setattr(Together, "take_step", None)  # no step is taken again
    records = list(run_cohort(SEEDS, fused(shelf)))
    assert [record.epochs for record in records] == [record.epochs for record in undisturbed]
    assert [record.fused_with for record in records] == [4] * 4


@pytest.mark.usefixtures("all_at_once")
def test_those_trained_ahead_are_waited_for() -> None:
    context = fused()
    left = []
    other = replace(SEEDS[0], training=replace(TRIAL.training, lr=0.01))  # begun, and trained by itself in its turn
    for _ in run_cohort([*SEEDS[:3], other, SEEDS[3]], context):
        left.append(context.num_trained_ahead)
    assert left == [3, 2, 1, 1, 0]


def candidates(configs: list[TrialConfig]) -> list[Candidate]:
    return [one for config in configs for one in trial_module.Trial(config, fused()).begin()]


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Seconds of a step of a network, by how many are taken at a time: as if measured."""
    seconds: dict[int, float] = {}
    monkeypatch.setattr(grouping, "_seconds_a_network", lambda group: seconds[len(group)])
    return seconds


@pytest.mark.parametrize(
    ("times", "number"),
    [
        ({1: 1.0, 2: 0.99}, 1),
        ({1: 1.0, 2: 0.6, 4: 0.59}, 2),
        ({1: 1.0, 2: 0.6, 4: 0.4, 5: 0.3}, 5),
        ({1: 1.0, 2: 1.5}, 1),
    ],
)
def test_as_many_at_a_time_as_pay_off(paced: dict[int, float], times: dict[int, float], number: int) -> None:
    paced.update(times)
    assert grouping.fastest_number(candidates([of_seed(seed) for seed in range(5)])) == number


def test_what_was_tried_out_is_known(paced: dict[int, float]) -> None:
    paced.update({1: 1.0, 2: 0.5, 4: 0.4})
    context, paces = fused(), grouping.Paces()
    found = [one for config in SEEDS for one in trial_module.Trial(config, context).begin()]
    assert paces.number(found) == 4
    paced.clear()  # nothing more is tried
    assert paces.number(found) == 4
    paced.update({1: 1.0, 2: 2.0})
    assert paces.number(found[:3]) == 1  # three are another matter


def test_what_is_tried_out_leaves_no_trace() -> None:
    found = candidates(SEEDS)
    before = [one.training.state()[0] for one in found]
    assert grouping.fastest_number(found) in (1, 2, 4)
    for one, expected in zip(found, before, strict=True):
        tensors = one.training.state()[0]
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())


def test_networks_of_unlike_size_or_recipe_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "fastest_number", lambda group: 2)
    pruner = PrunerConfig(name="synflow", iterations=20, score_dtype="float64")
    model = ModelConfig(name="convnet", options='{"widths":[30,40]}')
    small = replace(TRIAL, model=model, pruner=pruner, density=Decimal("0.02"))
    large = replace(small, density=Decimal("0.9"))
    slower = replace(large, training=replace(TRIAL.training, lr=0.01))
    configs = [of_seed(seed, one) for one in (small, large, slower) for seed in range(3)]
    found = [[(one.journey._config.density, one.training.config.lr) for one in group] for group in groups(configs)]
    assert all(len(set(group)) == 1 for group in found)
    assert sorted(map(len, found)) == [1, 1, 1, 2, 2, 2]


def groups(configs: list[TrialConfig]) -> list[list[Candidate]]:
    context = fused()  # one data set for all
    found = [one for config in configs for one in trial_module.Trial(config, context).begin()]
    return list(grouping.groups_of(found, grouping.Paces()))


def test_each_network_is_scored_once_for_all_densities(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = []

    def counted(*arguments: Any, **options: Any) -> Scores:
        scored.append(1)
        return score_network(*arguments, **options)

    monkeypatch.setattr(context_module, "score_network", counted)
    configs = [of_seed(seed, replace(TRIAL, density=Decimal(one))) for one in ("0.5", "0.4") for seed in range(10)]
    assert all(record.error is None for record in run_cohort(configs, fused()))  # more than one window of trials
    assert len(scored) == 10
