"""Training and pruning in turn: cut off anywhere, shared or not, rewound or not, a trial is the same bits."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from orchestrator.store.layout import Store
from pruning.masks import count_kept
from pruning.packing import unpack
from pruning.prunable import prunable_weights
from training.config import (
    DatasetConfig,
    LevelsConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
)
from training.context import CohortContext, build_network
from training.engines import masked_dense
from training.loop import Training
from training.moving_masks import MovingMasks
from training.record import TrialRecord
from training.snapshots import Snapshots
from training.state import State
from training.trial import run_trial

STEPS_PER_EPOCH = 9  # 1,097 digits in batches of 128

CONVNET = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="convnet", options='{"widths":[4,6]}'),
    pruner=PrunerConfig(name="magnitude"),
    density=Decimal("0.2"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=3, lr=0.05, weight_decay=1e-3),
)
IMP = replace(
    CONVNET,
    pruner=PrunerConfig(name="imp", schedule="0.6,0.4"),
    levels=LevelsConfig(pre_epochs=3, levels=3, rewind="weights", rewind_step=5),
)
RIGL = replace(CONVNET, pruner=PrunerConfig(name="rigl", options='{"every":4}'))

SETTINGS = {
    "snip": replace(CONVNET, pruner=PrunerConfig(name="snip", mode="train")),
    "collapsed": replace(CONVNET, density=Decimal("0.01")),
    "snip after training": replace(
        CONVNET, pruner=PrunerConfig(name="snip", mode="train"), levels=LevelsConfig(pre_epochs=1)
    ),
    "synflow after training": replace(
        CONVNET,
        pruner=PrunerConfig(name="synflow", iterations=5, score_dtype="float64"),
        levels=LevelsConfig(pre_epochs=2),
    ),
    "magnitude after training": replace(CONVNET, levels=LevelsConfig(pre_epochs=3, fine_tune_epochs=1)),
    "iterative fine-tuning": replace(CONVNET, levels=LevelsConfig(pre_epochs=3, levels=2, fine_tune_epochs=1)),
    "imp": IMP,
    "imp, adam": replace(IMP, training=replace(IMP.training, optimizer="adam", lr=0.01, momentum=0.0)),
    "learning-rate rewinding": replace(IMP, levels=replace(IMP.levels, rewind="lr")),
    "imp, reinitialised": replace(IMP, pruner=replace(IMP.pruner, ablation="reinitialise")),
    "imp, shuffled": replace(IMP, pruner=replace(IMP.pruner, ablation="shuffle")),
    "gmp": replace(CONVNET, pruner=PrunerConfig(name="gmp", options='{"every":5}')),
    "set": replace(CONVNET, pruner=PrunerConfig(name="set", options='{"every":4}')),
    "rigl": RIGL,
}


class Killed(BaseException):
    """The process ends here."""


def measured(record: TrialRecord) -> TrialRecord:
    return replace(record, seconds={})


def context(shelf: Store | None = None, *, seconds: float = math.inf, engine: str = "compact") -> CohortContext:
    return CohortContext("cpu", engine=engine, save_masks=True, shelf=shelf, checkpoint_seconds=seconds)


@pytest.fixture
def noisy_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    """A user's model that draws from every global generator in its forward pass."""
    (tmp_path / "users_noisy_model.py").write_text(
        "import random\nimport numpy as np\nimport torch\nfrom torch import nn\n"
        "class Noisy(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.first, self.norm, self.last = nn.Linear(64, 20), nn.BatchNorm1d(20), nn.Linear(20, 10)\n"
        "    def forward(self, x):\n"
        "        x = nn.functional.dropout(torch.relu(self.norm(self.first(x.flatten(1)))), 0.3, self.training)\n"
        "        return self.last(x * (1 + self.training * (random.random() + np.random.randn()) / 10))\n"
        "def noisy(*, input_shape, num_classes):\n"
        "    return Noisy()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return ModelConfig(name="users_noisy_model:noisy")


def kill_after(monkeypatch: pytest.MonkeyPatch, num_steps: int) -> None:
    """Let the next trials take so many steps in all, then die."""
    step = Training._take_step
    left = num_steps

    def dying(self: Training, images: torch.Tensor, labels: torch.Tensor) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        step(self, images, labels)

    monkeypatch.setattr(Training, "_take_step", dying)


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that holds the number of steps taken from now on."""
    step, count = Training._take_step, [0]

    def counting(self: Training, images: torch.Tensor, labels: torch.Tensor) -> None:
        count[0] += 1
        step(self, images, labels)

    monkeypatch.setattr(Training, "_take_step", counting)
    return count


@pytest.mark.parametrize("name", SETTINGS)
def test_a_trial_cut_off_anywhere_ends_with_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SETTINGS[name]
    undisturbed = measured(run_trial(config, context()))
    store = Store(tmp_path)
    for num_steps in (13, 4, 9, 14):  # in the middle of epochs, between epochs, in later levels
        with monkeypatch.context() as patch:
            kill_after(patch, num_steps)
            try:
                assert measured(run_trial(config, context(store, seconds=0))) == undisturbed
            except Killed:
                continue
    taken_up = context(store, seconds=0)
    assert measured(run_trial(config, taken_up)) == undisturbed
    taken_up.snapshots.forget(config)
    assert store.folders("checkpoints") == []


def test_noise_goes_on_where_it_was(noisy_model: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(IMP, model=noisy_model)
    undisturbed = measured(run_trial(config, context()))
    for num_steps in (4, 1, 13, 9):  # 4 + 1: where the trial rewinds to
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, num_steps)
            run_trial(config, context(Store(tmp_path), seconds=0))
    assert measured(run_trial(config, context(Store(tmp_path), seconds=0))) == undisturbed


def test_a_checkpoint_saves_the_work_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SETTINGS["snip"]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 20)
        run_trial(config, context(Store(tmp_path), seconds=0))
    steps = count_steps(monkeypatch)
    run_trial(config, context(Store(tmp_path), seconds=0))
    assert steps == [3 * STEPS_PER_EPOCH - 20]


def test_a_checkpoint_that_another_process_left_meanwhile_is_found_by_the_next_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, shelf = SETTINGS["snip"], Store(tmp_path)
    long_lived = context(shelf)
    assert long_lived.snapshots.find(config, long_lived.device) is None  # it has looked
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 20)
        run_trial(config, context(shelf, seconds=0))
    long_lived.snapshots.start_cohort()
    assert long_lived.snapshots.find(config, long_lived.device) is not None


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, store = SETTINGS["snip"], Store(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 20)
        run_trial(config, context(store, seconds=0))
    (key,) = store.folders("checkpoints")
    last = tmp_path / "checkpoints" / key / store.files("checkpoints", key)[-1]
    last.write_bytes(last.read_bytes()[:-100])
    steps = count_steps(monkeypatch)
    record = run_trial(config, context(store, seconds=0))
    assert steps == [3 * STEPS_PER_EPOCH - 19]
    assert measured(record) == measured(run_trial(config, context()))


def test_short_trials_write_no_checkpoint(tmp_path: Path) -> None:
    run_trial(SETTINGS["snip"], context(Store(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_shared_levels_are_trained_once_and_give_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def at(density: str, schedule: str, levels: int) -> TrialConfig:
        return replace(
            IMP,
            density=Decimal(density),
            pruner=replace(IMP.pruner, schedule=schedule),
            levels=replace(IMP.levels, levels=levels),
        )

    configs = [at("0.6", "exponential", 1), at("0.4", "0.6", 2), at("0.2", "0.6,0.4", 3)]
    alone = [measured(run_trial(config, context())) for config in configs]
    dense, rewound = 3 * STEPS_PER_EPOCH, 3 * STEPS_PER_EPOCH - 5
    for order in (configs, configs[::-1]):
        with monkeypatch.context() as patch:
            steps = count_steps(patch)
            together = context()
            records = {config: measured(run_trial(config, together)) for config in order}
            assert [records[config] for config in configs] == alone
            assert steps == [dense + 3 * rewound]
    # another process, later, on the same store
    first = context(Store(tmp_path))
    for config in configs[:2]:
        run_trial(config, first)
    steps = count_steps(monkeypatch)
    assert measured(run_trial(configs[2], context(Store(tmp_path)))) == alone[2]
    assert steps == [rewound]


def test_dense_training_is_shared_by_all_criteria(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [
        replace(CONVNET, pruner=PrunerConfig(name=name), levels=LevelsConfig(pre_epochs=2))
        for name in ("magnitude", "random", "lamp")
    ]
    alone = [measured(run_trial(config, context())) for config in configs]
    steps, together = count_steps(monkeypatch), context()
    assert [measured(run_trial(config, together)) for config in configs] == alone
    assert steps == [2 * STEPS_PER_EPOCH + 3 * STEPS_PER_EPOCH]


def test_a_shuffled_mask_shares_only_what_was_trained_alike() -> None:
    """It brings back weights that an earlier level removed, so all its levels are trained masked dense."""
    plain = replace(SETTINGS["iterative fine-tuning"], pruner=PrunerConfig(name="random"))
    shuffled = replace(plain, pruner=replace(plain.pruner, ablation="shuffle"))
    together = context()
    for config, engine in ((plain, "compact"), (shuffled, "reference")):
        record = run_trial(config, together)
        assert record.execution.engine == engine
        assert measured(record) == measured(run_trial(config, context()))


def test_what_changes_the_training_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SETTINGS["snip after training"]
    others = [
        replace(config, seeds=replace(config.seeds, data=1)),
        replace(config, seeds=replace(config.seeds, init=1)),
        replace(config, training=replace(config.training, lr=0.04)),
        replace(config, model=ModelConfig(name="convnet", options='{"widths":[4,5]}')),
        replace(config, levels=replace(config.levels, pre_epochs=2)),
    ]
    shared = context()
    run_trial(config, shared)
    for other in others:
        assert measured(run_trial(other, shared)) == measured(run_trial(other, context()))


def test_rewinding_restores_weights_statistics_and_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second level starts from step 5 of a plain training: every tensor of network and optimizer, mask aside."""
    states = []
    load = Training.load

    def remembering(self: Training, state: State) -> None:
        load(self, state)
        states.append({name: tensor.clone() for name, tensor in self.state()[0].items()})

    monkeypatch.setattr(Training, "load", remembering)
    record = run_trial(IMP, context(engine="reference"))
    plain = context()
    model = build_network(IMP, plain)
    dense = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable_weights(model).items()}
    training = Training(
        masked_dense(model, dense, IMP.training), plain.dataset(IMP.dataset), IMP.training, IMP.seeds.data
    )
    list(training.run(5))
    expected = training.state()[0]
    assert len(states) == 3
    final_masks = {f"model/{one.layer}.weight": unpack(one.bits, tuple(one.shape)) for one in record.masks}
    assert any("running_mean" in name for name in expected)
    assert any(name.startswith("optimizer/") and "momentum" in name for name in expected)
    for name, tensor in expected.items():
        if name.startswith("noise/"):
            continue
        found = states[-1][name]
        assert torch.equal(found, tensor * final_masks[name] if name in final_masks else tensor), name


def test_levels_follow_their_schedule_and_are_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    record = run_trial(IMP, context())
    total = sum(layer.num_weights for layer in record.layers)
    assert [one.kept for one in record.rounds] == [round(total * share) for share in (0.6, 0.4, 0.2)]
    assert [one.round for one in record.rounds] == [1, 2, 3]
    assert sum(layer.kept for layer in record.layers) == record.rounds[-1].kept
    levels = [(one.level, one.epoch) for one in record.epochs]
    assert levels == [(level, epoch) for level in range(4) for epoch in (1, 2, 3)]
    assert record.final == record.epochs[-1]
    assert record.best in record.epochs[-3:]


def test_magnitude_after_training_keeps_the_largest_trained_weights() -> None:
    config = SETTINGS["magnitude after training"]
    record = run_trial(config, context())
    plain = context()
    model = build_network(config, plain)
    dense = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable_weights(model).items()}
    trainee = masked_dense(model, dense, config.training)
    list(Training(trainee, plain.dataset(config.dataset), config.training, config.seeds.data).run(27))
    trained = torch.cat([weight.detach().abs().flatten() for weight in prunable_weights(model).values()])
    kept = torch.cat([unpack(one.bits, tuple(one.shape)).flatten() for one in record.masks])
    assert kept.sum() == round(len(kept) * 0.2)
    assert trained[kept].min() >= trained[~kept].max()
    assert [(one.level, one.epoch) for one in record.epochs] == [(0, 1), (0, 2), (0, 3), (1, 4)]


def test_the_learning_rate_of_fine_tuning_is_the_recipes_last() -> None:
    config = replace(SETTINGS["magnitude after training"], training=TrainingConfig(epochs=3, lr=0.1, lr_drops=(2,)))
    assert [one.lr for one in run_trial(config, context()).epochs] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    rewound = replace(config, levels=LevelsConfig(pre_epochs=3, rewind="lr"))
    assert [one.lr for one in run_trial(rewound, context()).epochs] == pytest.approx([0.1, 0.1, 0.01] * 2)


def test_moving_masks_keep_their_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """RigL moves weights and keeps each layer's count; what is not kept is zero, and what returns starts there."""
    model: list[nn.Module] = []
    moved = []
    move = MovingMasks.move

    def watching(self, network, optimizer, step):
        masks = self.masks
        move(self, network, optimizer, step)
        after = self.masks
        model[:] = [network]
        for name, weight in prunable_weights(network).items():
            grown = after[name] & ~masks[name]
            moved.append(int(grown.sum()))
            assert not weight[grown].any()
            assert not optimizer.state[weight]["momentum_buffer"][grown].any()
            assert after[name].sum() == masks[name].sum()

    monkeypatch.setattr(MovingMasks, "move", watching)
    record = run_trial(RIGL, context())
    assert sum(moved) > 0
    masks = {one.layer: unpack(one.bits, tuple(one.shape)) for one in record.masks}
    total = sum(mask.numel() for mask in masks.values())
    assert count_kept(masks) == round(total * 0.2) == sum(layer.kept for layer in record.layers)
    for name, weight in prunable_weights(model[0]).items():
        assert not weight[~masks[name.removesuffix(".weight")]].any()
    assert [one.round for one in record.rounds] == [1, 2, 3, 4, 5]  # steps 4 to 20 of 27, until three quarters


def test_gradual_pruning_starts_dense_and_ends_at_the_target() -> None:
    record = run_trial(SETTINGS["gmp"], context())
    total = sum(layer.num_weights for layer in record.layers)
    kept = [one.kept for one in record.rounds]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] < total
    assert kept[-1] == round(total * 0.2) == sum(layer.kept for layer in record.layers)


def test_a_foreign_execution_class_takes_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SETTINGS["snip"]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 20)
        run_trial(config, context(Store(tmp_path), seconds=0))
    other = context()
    other.snapshots = Snapshots(Store(tmp_path), replace(other.execution, threads=2), every_seconds=math.inf)
    assert other.snapshots.find(config, other.device) is None


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("iterations", {"pruner": replace(RIGL.pruner, iterations=3)}),
        ("scope", {"pruner": replace(RIGL.pruner, scope="local")}),
        ("ablation", {"pruner": replace(RIGL.pruner, ablation="shuffle")}),
        ("pre_epochs", {"levels": LevelsConfig(pre_epochs=1)}),
    ],
)
def test_what_a_pruner_that_acts_during_training_cannot_heed_is_refused(setting: str, changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"rigl changes its masks while the network trains and has no {setting}"):
        run_trial(replace(RIGL, **changed), context())
