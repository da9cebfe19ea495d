"""Networks trained side by side are, each of them, the network trained by itself: in float64, to 1e-11."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.compaction_exactness import MODELS, NUM_CLASSES, SHAPE, Case, masks_of
from models.convnet import ConvNet
from pruning.masks import Masks
from pruning.prunable import prunable_weights
from training.compaction.compact import Compacted, compact
from training.config import TrainingConfig
from training.datasets.contract import Dataset, Split
from training.engines import Trainee
from training.fusion.reading import NotFused, Reading, read
from training.fusion.together import Together
from training.loop import Training
from training.masking import removed_weights
from training.record import EpochRecord

RECIPE = TrainingConfig(epochs=2, batch_size=16, lr=0.02, weight_decay=5e-3)
RECIPES = {
    "nesterov": RECIPE,
    "clipped": replace(RECIPE, clip_grad_norm=0.5),
    "smoothed, decay of weights": replace(RECIPE, label_smoothing=0.1, weight_decay_on="weights", nesterov=False),
    "cosine, warm-up": replace(RECIPE, lr_schedule="cosine", warmup_epochs=1.0),
    # a small epsilon would make whole steps of gradients that are rounding noise, as before BatchNorm
    "adam": replace(RECIPE, optimizer="adam", lr=1e-3, momentum=0.0, epsilon=1e-2),
    "adamw": replace(RECIPE, optimizer="adamw", lr=1e-3, momentum=0.0, epsilon=1e-2),
    "rmsprop": replace(RECIPE, optimizer="rmsprop", lr=1e-3, momentum=0.0, epsilon=1e-2),
}


class Branches(nn.Module):
    """Concatenation, squeeze-and-excitation, slices, padding, depthwise and grouped convolutions, biases, sigmoids."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, padding=1)
        self.left, self.right = nn.Conv2d(12, 8, 3, padding=1, bias=False), nn.Conv2d(12, 6, 1)
        self.norm = nn.BatchNorm2d(14)
        self.squeeze, self.excite = nn.Conv2d(14, 4, 1), nn.Conv2d(4, 14, 1)
        self.depthwise = nn.Conv2d(14, 14, 3, padding=1, groups=14, bias=False)
        self.second = nn.Conv2d(14, 20, 3, padding=1)
        self.dead, self.after_dead = nn.Conv2d(20, 20, 1, bias=False), nn.BatchNorm2d(20)
        self.unfed = nn.Conv2d(20, 20, 1)
        self.last = nn.Linear(20 * 16, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images (n, 3, 16, 16)."""
        x = F.relu(self.first(x))
        x = F.relu(self.norm(torch.cat([self.left(x), torch.sigmoid(self.right(x))], 1)))
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = F.relu(self.depthwise(x))[:, :, ::2, ::2]
        x = F.pad(x, (0, 0, 0, 0, 2, 4)) + torch.tanh(self.second(x))
        x = x + self.after_dead(self.dead(x)) + self.unfed(x)
        return cast(Tensor, self.last(F.max_pool2d(x, 2).flatten(1)))


def branches(seed: int) -> tuple[nn.Module, Masks]:
    """With three quarters of the weights; one layer without any, one without any but its bias, some groups empty."""
    source = torch.Generator().manual_seed(seed)
    model = Branches().double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source) / 4)
    masks = {
        name: torch.rand(weight.shape, generator=source) < 0.75 for name, weight in prunable_weights(model).items()
    }
    for name in ("dead.weight", "unfed.weight"):
        masks[name] = torch.zeros_like(masks[name])
    alive = torch.rand(14, 1, 1, 1, generator=source) < 0.7
    masks["depthwise.weight"] = alive.expand_as(masks["depthwise.weight"]).clone()
    return model, masks


def pruned(name: str, criterion: str, exponent: float) -> Callable[[int], tuple[nn.Module, Masks]]:
    """A network that ships, initialised and pruned by a seed."""

    def of_seed(seed: int) -> tuple[nn.Module, Masks]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = MODELS[name]().double().train()
        return model, masks_of(Case(name, criterion, exponent), model)

    return of_seed


MODELS["convnet"] = lambda: ConvNet(input_shape=SHAPE, num_classes=NUM_CLASSES)
NETWORKS = {
    "branches": branches,
    "dense": pruned("convnet", "random", 0),
    "mlp": pruned("mlp", "synflow", 1),
    "fc": pruned("fc", "random", 1),
    "conv": pruned("conv", "snip", 0.5),
    "lenet5": pruned("lenet5", "synflow", 1),
    "convnet": pruned("convnet", "synflow", 1),
    "resnet20": pruned("resnet20", "synflow", 1),
    "resnet20, padding": pruned("resnet20, padding", "synflow", 2),
    "resnet20, sparse": pruned("resnet20", "synflow", 3),
    "wrn40_1": pruned("wrn40_1", "random", 0.5),
}


def images(num_train: int, num_validation: int, num_test: int) -> Dataset:
    source = torch.Generator().manual_seed(5)

    def split(count: int) -> Split:
        return Split(
            images=torch.randn(count, *SHAPE, generator=source, dtype=torch.float64),
            labels=torch.randint(NUM_CLASSES, (count,), generator=source),
        )

    splits = [split(count) for count in (num_train, num_validation, num_test)]
    return Dataset(train=splits[0], validation=splits[1], test=splits[2], num_classes=NUM_CLASSES)


DATASET = images(40, 20, 30)  # three steps an epoch, the last of half a batch


def in_training(
    network: tuple[nn.Module, Masks], config: TrainingConfig, order_seed: int
) -> tuple[Training, Compacted]:
    small = compact(*network, SHAPE, every_layer=True)
    assert isinstance(small, Compacted), small
    trainee = Trainee(
        model=small.model,
        removed=small.removed_weights(),
        optimizer=small.optimizer(config),
        restore_into=small.restore_into,
    )
    return Training(trainee, DATASET, config, order_seed), small


def alike(name: str, config: TrainingConfig, order_seeds: Sequence[int]) -> list[list[Training]]:
    """Three networks of one signature, twice: to train by themselves, and side by side."""
    found: dict[str, list[int]] = {}
    for seed in range(8):
        (training, _) = in_training(NETWORKS[name](seed), config, 0)
        seeds = found.setdefault(reading_of(training).signature, [])
        seeds.append(seed)
        if len(seeds) == 3:
            return [
                [
                    in_training(NETWORKS[name](one), config, order)[0]
                    for one, order in zip(seeds, order_seeds, strict=True)
                ]
                for _ in range(2)
            ]
    raise AssertionError("no three of them are alike")


def reading_of(training: Training) -> Reading:
    return read(training.model, SHAPE)  # type: ignore[arg-type]  # a small network, all of them


def together_to(trainings: Sequence[Training], stop_step: int) -> list[list[EpochRecord]]:
    together = Together(trainings, [reading_of(one) for one in trainings])
    records = list(together.run(stop_step))
    together.hand_back()
    return records


def largest_difference(alone: Sequence[Training], together: Sequence[Training]) -> float:
    """Of parameters, statistics and what optimizers know, relative to their tensor's largest."""
    found = [0.0]
    for one, other in zip(alone, together, strict=True):
        (expected, facts), (tensors, other_facts) = one.state(), other.state()
        assert expected.keys() == tensors.keys()
        assert facts["step"], facts["num_seen"] == (other_facts["step"], other_facts["num_seen"])
        for name, tensor in expected.items():
            if name.startswith("noise/"):
                continue
            if not tensor.is_floating_point():
                assert torch.equal(tensor, tensors[name]), name
            elif tensor.numel():
                scale = max(float(tensor.abs().max()), 1e-4)  # below are sums that cancel to rounding noise
                found.append(float((tensor - tensors[name]).abs().max()) / scale)
    return float(torch.tensor(found).max())


def assert_equal_records(alone: Sequence[EpochRecord], together: Sequence[EpochRecord]) -> None:
    for one, other in zip(alone, together, strict=True):
        for name, value in vars(one).items():
            assert getattr(other, name) == pytest.approx(value, rel=1e-11), name


@pytest.mark.parametrize("name", NETWORKS)
def test_side_by_side_is_by_itself(name: str) -> None:
    alone, together = alike(name, RECIPE, [3, 4, 3])
    records = [list(one.run(6)) for one in alone]
    found = together_to(together, 6)
    assert largest_difference(alone, together) < 1e-11
    for number, expected in enumerate(records):
        assert_equal_records(expected, [epoch[number] for epoch in found])


@pytest.mark.parametrize("name", ["branches", "resnet20", "resnet20, sparse", "lenet5"])
def test_a_network_with_every_layer_is_trained_as_without(name: str) -> None:
    model, masks = NETWORKS[name](0)
    restored = []
    for every_layer in (False, True):
        small = compact(model, masks, SHAPE, every_layer=every_layer)
        assert isinstance(small, Compacted)
        trainee = Trainee(model=small.model, removed=small.removed_weights(), optimizer=small.optimizer(RECIPE))
        list(Training(trainee, DATASET, RECIPE, 3).run(6))
        full = copy.deepcopy(model)
        small.restore_into(full)
        restored.append(full.state_dict())
    for key, tensor in restored[0].items():
        torch.testing.assert_close(restored[1][key], tensor, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("order_seeds", [(3, 3, 3), (3, 4, 5)], ids=["one order", "three orders"])
def test_any_recipe_side_by_side_and_put_aside_in_mid_epoch(recipe: str, order_seeds: tuple[int, int, int]) -> None:
    alone, together = alike("convnet", RECIPES[recipe], order_seeds)
    records = [list(one.run(6)) for one in alone]
    found = []
    for stop_step in (2, 4, 6):  # the second begins in one epoch and ends in the next
        found += together_to(together, stop_step)
        assert [one.step for one in together] == [stop_step] * 3
    assert largest_difference(alone, together) < 1e-11
    for number, expected in enumerate(records):
        assert_equal_records(expected, [epoch[number] for epoch in found])


def test_who_was_beside_others_goes_on_alone() -> None:
    alone, together = alike("convnet", RECIPE, [3, 4, 5])
    for one in alone:
        list(one.run(6))
    together_to(together, 2)
    for one in together:
        list(one.run(6))
    assert largest_difference(alone, together) < 1e-11


def test_removed_weights_are_zero_and_full_networks_are_as_trained_alone() -> None:
    networks = [branches(seed) for seed in (0, 1)]
    restored = []
    for side_by_side in (False, True):
        found = [in_training(network, RECIPE, 7) for network in networks]
        trainings = [training for training, _ in found]
        if side_by_side:
            together_to(trainings, 6)
        else:
            for training in trainings:
                list(training.run(6))
        full = [branches(seed)[0] for seed in (0, 1)]
        for (_, small), model in zip(found, full, strict=True):
            small.restore_into(model)
        restored.append(full)
    for one, other, (_, masks) in zip(*restored, networks, strict=True):
        assert not any(weight[gone].any() for weight, gone in removed_weights(other, masks))
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], tensor, rtol=1e-10, atol=1e-12)


def test_a_layer_may_be_called_like_an_index() -> None:
    class Named(nn.Module):
        """A linear layer with an unlucky name."""

        def __init__(self) -> None:
            super().__init__()
            self.index_of_images = nn.Linear(3 * 16 * 16, NUM_CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            """Logits of images (n, 3, 16, 16)."""
            return cast(Tensor, self.index_of_images(x.flatten(1)))

    model = Named().double()
    masks = {name: torch.rand(weight.shape) < 0.5 for name, weight in prunable_weights(model).items()}
    alone, together = ([in_training((model, masks), RECIPE, order)[0] for order in (3, 4)] for _ in range(2))
    for one in alone:
        list(one.run(6))
    together_to(together, 6)
    assert largest_difference(alone, together) < 1e-11


def test_bf16_trains_side_by_side_within_its_precision() -> None:
    config = replace(RECIPE, precision="bf16")
    alone, together = ([in_training_float32(seed, config) for seed in (0, 1)] for _ in range(2))
    records = [list(one.run(3)) for one in alone]
    (epoch,) = together_to(together, 3)
    for one, other in zip(records, epoch, strict=True):
        assert other.train_loss == pytest.approx(one[0].train_loss, rel=0.02)


def in_training_float32(seed: int, config: TrainingConfig) -> Training:
    model, masks = NETWORKS["convnet"](seed)
    small = compact(model.float(), masks, SHAPE, every_layer=True)
    assert isinstance(small, Compacted)
    trainee = Trainee(model=small.model, removed=small.removed_weights(), optimizer=small.optimizer(config))
    parts = [DATASET.train, DATASET.validation, DATASET.test]
    single = [Split(images=part.images.float(), labels=part.labels) for part in parts if isinstance(part, Split)]
    return Training(trainee, Dataset(train=single[0], validation=single[1], test=single[2], num_classes=10), config, 3)


def test_what_draws_is_left_alone() -> None:
    class Drawing(ConvNet):
        """Draws."""

        def __init__(self) -> None:
            super().__init__(input_shape=SHAPE, num_classes=NUM_CLASSES)
            self.dropout = nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            """Logits, some of them dropped."""
            return cast(Tensor, self.dropout(super().forward(x)))

    model = Drawing()
    masks = {name: torch.ones_like(weight).bool() for name, weight in prunable_weights(model).items()}
    small = compact(model, masks, SHAPE, every_layer=True)
    assert isinstance(small, Compacted)
    with pytest.raises(NotFused, match="dropout is a FullShapeDropout, which belongs to one network at a time"):
        read(small.model, SHAPE)


def test_reading_a_network_leaves_it_as_it_was() -> None:
    (training, _) = in_training(NETWORKS["resnet20"](0), RECIPE, 0)
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    reading_of(training)
    assert training.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.model.state_dict().items())
