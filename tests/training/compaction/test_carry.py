"""From stretch to stretch with other masks: what is carried on is what masked dense training carries, to rounding."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
import torch
from torch import Tensor, nn

from models.cifar_resnet import resnet20
from models.convnet import ConvNet
from pruning.density import kept_count
from pruning.masks import Masks, all_kept, keep_k_highest_together
from pruning.prunable import prunable_weights
from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.datasets.contract import Dataset, Split
from training.engines import Trainee, trainee
from training.loop import Training
from training.state import State, load_network_state

SHAPE = (3, 8, 8)
TRIAL = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="convnet"),
    pruner=PrunerConfig(name="magnitude"),
    density=Decimal("0.1"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=100, batch_size=8, lr=0.02, weight_decay=5e-3),
)
RECIPES = {
    "nesterov": TRIAL.training,
    "sgd, clipped": replace(TRIAL.training, optimizer="sgd", clip_grad_norm=0.5),
    "adam": replace(TRIAL.training, optimizer="adam", lr=1e-3),
    "adamw on weights": replace(TRIAL.training, optimizer="adamw", lr=1e-3, weight_decay_on="weights"),
    "rmsprop on weights": replace(TRIAL.training, optimizer="rmsprop", lr=1e-3, weight_decay_on="weights"),
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convnet": lambda: ConvNet(input_shape=SHAPE, num_classes=5, widths=[6, 8]),
    "biases": lambda: nn.Sequential(
        *(nn.Conv2d(3, 6, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, kernel_size=3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(128, 5)),
    ),
    "resnet20": lambda: resnet20(input_shape=SHAPE, num_classes=5),
}


def dataset(shape: tuple[int, ...] = SHAPE, num_classes: int = 5) -> Dataset:
    source = torch.Generator().manual_seed(0)
    images = torch.randn(28, *shape, generator=source, dtype=torch.float64)
    split = Split(images=images, labels=torch.randint(num_classes, (28,), generator=source))
    return Dataset(train=split, validation=split, test=split, num_classes=num_classes)


def stretch(
    model: nn.Module, masks: Masks, config: TrialConfig, engine: str, state: State | None, data: Dataset, num_steps: int
) -> tuple[Trainee, State]:
    """Some steps from where a network with other masks was left."""
    if state is not None:
        load_network_state(model, state[0])
    chosen = trainee(model, masks, data.train.image_shape, config, engine, state)
    assert chosen.engine == engine
    training = Training(chosen, data, config.training, order_seed=0)
    if state is not None:
        training.load_full(state)
    list(training.run(training.step + num_steps))
    return chosen, training.full_state()


def assert_same_network(found: State, reference: Trainee, expected: State, masks: Masks) -> None:
    """Every parameter, and what the optimizer knows of each entry that is kept."""
    assert found[1]["step"] == expected[1]["step"]
    for name, parameter in reference.model.named_parameters():
        assert_close(found[0][f"model/{name}"], parameter.detach())
    names = {id(parameter): name for name, parameter in reference.model.named_parameters()}
    numbered = [one for group in reference.optimizer.param_groups for one in group["params"]]
    known = {name for name in expected[0] if name.startswith("optimizer/")}
    assert known >= {name for name in found[0] if name.startswith("optimizer/")}
    for name in known:
        mask = masks.get(names[id(numbered[int(name.split("/")[1])])])
        if mask is not None and not mask.any():
            continue  # a layer that is gone, and with it what was known of it
        one, other = found[0][name], expected[0][name]
        assert_close(*((one, other) if mask is None or not other.dim() else (one[mask], other[mask])))


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11 * max(1.0, float(expected.abs().amax())))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_levels_of_pruning_carry_on_what_masked_dense_training_does(network: str, recipe: str) -> None:
    config, data = replace(TRIAL, training=RECIPES[recipe]), dataset()
    torch.manual_seed(0)
    initial = NETWORKS[network]().double()
    models = {engine: copy.deepcopy(initial) for engine in ("reference", "compact")}
    states: dict[str, State | None] = dict.fromkeys(models)
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(initial).items()})
    for density in ("1", "0.2", "0.05"):
        trained = prunable_weights(models["reference"])
        total = sum(weight.numel() for weight in trained.values())
        scores = {name: weight.detach().abs() for name, weight in trained.items()}
        masks = keep_k_highest_together(scores, masks, kept_count(Decimal(density), total))
        reference, expected = stretch(models["reference"], masks, config, "reference", states["reference"], data, 5)
        _, found = stretch(models["compact"], masks, config, "compact", states["compact"], data, 5)
        assert_same_network(found, reference, expected, masks)
        images, _ = next(iter(data.test.batches(None, 28)))
        logits, ours = (models[engine].eval()(images) for engine in ("reference", "compact"))
        assert_close(ours.detach(), logits.detach())  # by running statistics
        states = {"reference": expected, "compact": found}


def test_an_offset_of_zero_that_momentum_still_moves_is_no_zero() -> None:
    """Three hidden units: the first on a path, the second not read, the third not fed, its offset zero by chance."""
    masks = {
        "1.weight": torch.tensor([[True, False], [True, True], [False, False]]),
        "4.weight": torch.tensor([[True, False, False], [False, False, True]]),
    }
    torch.manual_seed(0)
    initial = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)).double()
    data, kept = dataset((2, 1, 1), 2), {name: torch.ones_like(mask) for name, mask in masks.items()}
    _, start = stretch(copy.deepcopy(initial), kept, TRIAL, "reference", None, data, 3)
    for offset in ("1.bias", "2.bias", "2.running_mean"):
        start[0][f"model/{offset}"][2] = 0.0
    reference, expected = stretch(copy.deepcopy(initial), masks, TRIAL, "reference", start, data, 6)
    _, found = stretch(copy.deepcopy(initial), masks, TRIAL, "compact", start, data, 6)
    assert expected[0]["model/2.bias"][2] != 0
    assert_same_network(found, reference, expected, masks)
    assert_close(found[0]["model/2.running_mean"][2], expected[0]["model/2.running_mean"][2])


def test_a_fresh_optimizer_starts_fresh() -> None:
    """Learning-rate rewinding carries the network on and nothing of the optimizer."""
    torch.manual_seed(0)
    initial, data = NETWORKS["convnet"]().double(), dataset()
    masks = {name: torch.rand_like(weight) < 0.3 for name, weight in prunable_weights(initial).items()}
    kept = {name: torch.ones_like(mask) for name, mask in masks.items()}
    _, (trained, _) = stretch(copy.deepcopy(initial), kept, TRIAL, "compact", None, data, 5)
    network = {name: one for name, one in trained.items() if name.startswith("model/")}
    start: State = (network, {"step": 0, "loss_sum": 0.0, "num_seen": 0})
    reference, expected = stretch(copy.deepcopy(initial), masks, TRIAL, "reference", start, data, 3)
    _, found = stretch(copy.deepcopy(initial), masks, TRIAL, "compact", start, data, 3)
    assert_same_network(found, reference, expected, masks)
