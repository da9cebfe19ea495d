"""What is left out, what falls back, what a collapsed network trains, and the way back to the full network."""

from __future__ import annotations

import copy
import pkgutil
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Self
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.compaction_exactness import SHAPE, Case, MaskedDense, holds, masks_of, measure_network, start_of
from models.cifar_resnet import resnet20
from models.convnet import ConvNet
from models.mlp import MLP
from models.table import MODELS
from pruning.masks import Masks, all_kept
from pruning.prunable import prunable_weights
from training.compaction.compact import Compacted, NotCompacted, compact
from training.config import TrainingConfig
from training.engines import masked_dense, training_loss
from training.masking import zero_removed
from training.state import Noise, noise_state


def compacted(model: nn.Module, masks: Masks, shape: tuple[int, ...] = SHAPE) -> Compacted:
    found = compact(model, masks, shape)
    assert isinstance(found, Compacted), found
    return found


def two_layers(activation: nn.Module, *, norm: bool = True) -> nn.Sequential:
    """Three hidden units: the first on a path, the second fed but not read, the third read but not fed."""
    layers = [nn.Linear(2, 3), *([nn.BatchNorm1d(3)] if norm else []), activation, nn.Linear(3, 2)]
    model = nn.Sequential(*layers).double()
    for layer in (model[0], model[-1]):
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return model


PATHS = {
    "first": torch.tensor([[True, False], [True, True], [False, False]]),
    "last": torch.tensor([[True, False, False], [False, False, True]]),
}


def hidden_units_left(model: nn.Sequential) -> int:
    masks = {"0.weight": PATHS["first"], f"{len(model) - 1}.weight": PATHS["last"]}
    found = compacted(model, masks, (2,))
    return found.facts.num_units_left - 2


def test_a_unit_that_nothing_reads_goes_and_so_does_one_that_nothing_feeds_before_relu() -> None:
    assert hidden_units_left(two_layers(nn.ReLU())) == 1
    assert hidden_units_left(two_layers(nn.ReLU(), norm=False)) == 1
    assert hidden_units_left(two_layers(nn.ReLU6())) == 1


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.LeakyReLU(), nn.GELU(), nn.SiLU(), nn.Identity()], ids=str)
def test_an_unfed_unit_stays_where_its_offset_gets_a_gradient_at_zero(activation: nn.Module) -> None:
    assert hidden_units_left(two_layers(activation)) == 2


def test_an_unfed_unit_stays_where_zero_becomes_something_else() -> None:
    assert hidden_units_left(two_layers(nn.Sigmoid())) == 2
    for offset in ("0.bias", "1.bias", "1.running_mean"):
        model = two_layers(nn.ReLU())
        model.state_dict()[offset][2] = 0.5
        assert hidden_units_left(model) == 2, offset


class CountsItsCalls(nn.Module):
    seen: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen += 1
        self.last = self.seen + 1
        return self.layer(inputs)


def test_a_network_that_counts_its_calls_is_not_called_by_being_read() -> None:
    model = CountsItsCalls()
    seen = model.seen
    compact(model, {"layer.weight": torch.ones(2, 2, dtype=torch.bool)}, (2,))
    assert model.seen is seen
    assert (float(model.seen), float(model.last)) == (0, 0)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_weights_that_are_left_out_shrink_by_weight_decay_as_in_closed_form(weight_decay: float) -> None:
    model = two_layers(nn.ReLU())
    before = copy.deepcopy(model.state_dict())
    masks = {"0.weight": PATHS["first"], "3.weight": PATHS["last"]}
    small = compacted(model, masks, (2,))
    optimizer = torch.optim.SGD(small.model.parameters(), lr=0.1, weight_decay=weight_decay)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(small.model(torch.randn(5, 2).double()), torch.tensor([0, 1, 0, 1, 1])).backward()
        optimizer.step()
    small.restore_into(model)
    after, shrunk = model.state_dict(), (1 - 0.1 * weight_decay) ** 4
    unread, unfed_reader = after["0.weight"][1], after["3.weight"][1, 2]
    torch.testing.assert_close(unread, before["0.weight"][1] * shrunk, rtol=1e-14, atol=0)
    torch.testing.assert_close(unfed_reader, before["3.weight"][1, 2] * shrunk, rtol=1e-14, atol=0)
    assert after["1.running_var"][2] == pytest.approx(0.9**4, rel=1e-14)
    assert after["1.num_batches_tracked"] == 4
    assert small.untracked()["1.running_var"].tolist() == [False, True, False]
    assert after["1.running_var"][1] == before["1.running_var"][1]


def assert_equal_noise(before: Noise) -> None:
    """Nothing was drawn since from a generator of torch, Python or NumPy."""
    tensors, facts = noise_state(torch.device("cpu"))
    assert torch.equal(tensors["noise/cpu"], before[0]["noise/cpu"])
    assert facts == before[1]


def test_the_network_is_left_as_it_was() -> None:
    model = resnet20(input_shape=SHAPE, num_classes=10).train()
    model.blocks[2].eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    masks = {name: torch.rand_like(w) < 0.1 for name, w in prunable_weights(model).items()}
    noise = noise_state(torch.device("cpu"))
    compacted(model, masks)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert_equal_noise(noise)


def test_nothing_is_left_out_of_a_dense_network() -> None:
    model = ConvNet(input_shape=SHAPE, num_classes=10).double()
    small = compacted(model, all_kept(prunable_weights(model)))
    assert small.facts.num_units_left == small.facts.num_units
    assert small.facts.num_weights_left == small.facts.num_weights_kept
    assert small.removed_weights() == []
    inputs = torch.randn(4, *SHAPE).double()
    torch.testing.assert_close(small.model.eval()(inputs), model.eval()(inputs), rtol=1e-13, atol=1e-13)


def test_in_float32_it_computes_the_same_in_channels_last() -> None:
    torch.manual_seed(0)
    model = resnet20(input_shape=SHAPE, num_classes=10).train()
    masks = {name: torch.rand_like(w) < 0.02 for name, w in prunable_weights(model).items()}
    small = compacted(model, masks)
    inputs = torch.randn(8, *SHAPE)
    expected = MaskedDense(model, masks)(inputs)
    assert small.depends_on_images
    torch.testing.assert_close(small.model(inputs), expected, rtol=1e-4, atol=1e-5)
    F.cross_entropy(expected, torch.arange(8)).backward()
    F.cross_entropy(small.model(inputs), torch.arange(8)).backward()
    for name, gradient in small.full_gradients().items():
        weight = dict(model.named_parameters())[name]
        assert weight.grad is not None
        torch.testing.assert_close(gradient, weight.grad, rtol=1e-3, atol=1e-4, msg=name)


CRITERIA = ["random", "magnitude", "snip", "grasp"]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_collapsed_network_trains_without_images_as_masked_dense_does_with_them(criterion: str) -> None:
    case = Case("resnet20", criterion, 4.5)
    model = start_of(case)
    masks = masks_of(case, model)
    small = compacted(model, masks)
    assert not small.depends_on_images
    dense = MaskedDense(copy.deepcopy(model), masks)
    steps = torch.optim.SGD(small.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    oracle = torch.optim.SGD(dense.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for step, batch in enumerate((12, 5, 12)):
        labels = torch.randint(10, (batch,), generator=torch.Generator().manual_seed(step))
        losses = []
        for network, inputs, optimizer in (
            (small.model, torch.empty(batch, 0, dtype=torch.float64), steps),
            (dense, torch.randn(batch, *SHAPE, dtype=torch.float64), oracle),
        ):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs), labels)
            loss.backward()
            optimizer.step()
            zero_removed(small.removed_weights())
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    small.restore_into(model)
    skip = small.untracked()
    for name, tensor in dense.state().items():
        wrong = (model.state_dict()[name] - tensor).abs() > 1e-10
        assert not (wrong & ~skip.get(name, torch.tensor(False))).any(), name


def test_a_collapsed_network_keeps_only_what_gets_a_gradient() -> None:
    model = ConvNet(input_shape=SHAPE, num_classes=10).double()
    masks = all_kept(prunable_weights(model))
    masks["features.4.weight"] = torch.zeros_like(masks["features.4.weight"])
    small = compacted(model, masks)
    assert not small.depends_on_images
    assert {name for name, _ in small.model.layers.named_parameters()} == {"classifier.bias"}


class Bypassed(nn.Module):
    """A residual branch whose offset trains also where nothing feeds it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.branch = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.head = nn.Linear(16, 10)

    def forward(self, images_nchw: Tensor) -> Tensor:
        stem = torch.relu(self.stem(images_nchw))
        return self.head(torch.relu(self.branch(stem) + stem).mean((2, 3)))


def test_rows_of_zeros_before_a_trained_offset_are_put_in_where_they_are_read() -> None:
    torch.manual_seed(0)
    model = Bypassed().double().train()
    masks = {name: torch.rand_like(weight) < 0.9 for name, weight in prunable_weights(model).items()}
    masks["branch.0.weight"][:12] = False
    small = compacted(model, masks)
    assert small.masks["layers.branch.0.weight"].shape == (4, 16, 3, 3)
    assert dict(small.model.named_parameters())["layers.branch.1.bias"].shape == (16,)
    assert holds(measure_network(Case("", "", 0), model, masks))


class ConstantBranch(nn.Module):
    """A branch of padded convolutions and BatchNorm; with its first layer cut, a constant that differs at borders."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.branch = nn.Sequential(
            *(nn.Conv2d(8, 8, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)),
            *(nn.LeakyReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)),
        )
        self.head = nn.Linear(8, 10)

    def forward(self, images_nchw: Tensor) -> Tensor:
        stem = torch.relu(self.stem(images_nchw))
        return self.head(torch.relu(stem + self.branch(stem)).mean((2, 3)))


@pytest.mark.parametrize("cut", ["branch.0.weight", "stem.weight"])
def test_in_bfloat16_a_constant_before_batch_norm_trains_as_in_the_reference_engine(cut: str) -> None:
    config = TrainingConfig(epochs=1, lr=0.05, precision="bf16")
    torch.manual_seed(0)
    model = ConstantBranch().train()
    masks = all_kept(prunable_weights(model))
    masks[cut] = torch.zeros_like(masks[cut])
    small, reference = compacted(model, masks), masked_dense(copy.deepcopy(model), masks, config)
    assert small.depends_on_images == (cut != "stem.weight")
    zero_removed(reference.removed)
    optimizer = small.optimizer(config)
    start = nn.utils.parameters_to_vector(reference.model.parameters()).detach().clone()
    for seed in range(4):
        source = torch.Generator().manual_seed(seed)
        inputs, labels = torch.randn(12, *SHAPE, generator=source), torch.randint(10, (12,), generator=source)
        expected = reference.backward(inputs, labels, config)
        reference.optimizer.step()
        zero_removed(reference.removed)
        optimizer.zero_grad()
        loss = training_loss(small.model, inputs, labels, config)
        loss.backward()
        optimizer.step()
        zero_removed(small.removed_weights())
        assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    small.restore_into(model)
    found, expected = (nn.utils.parameters_to_vector(one.parameters()) for one in (model, reference.model))
    # twelve images' gradients, each rounded to 8 bits, are closer to the truth than their rounded sum
    assert (found - expected).norm() < 0.25 * (expected - start).norm()
    for norm in ("branch.3", "branch.6"):
        for part in ("running_mean", "running_var"):
            one, other = (network.state_dict()[f"{norm}.{part}"] for network in (model, reference.model))
            torch.testing.assert_close(one, other, rtol=0.01, atol=2**-8)


def test_dropout_draws_as_in_the_full_network() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 40), nn.ReLU(), nn.Dropout(0.4), nn.Linear(40, 30), nn.Dropout(), nn.Linear(30, 3)
    ).double()
    masks = {name: torch.rand(w.shape) < 0.05 for name, w in prunable_weights(model).items()}
    small = compacted(model, masks, (3, 2, 2))
    assert small.facts.num_units_left < 60
    inputs = torch.randn(6, 3, 2, 2).double()
    torch.manual_seed(4)
    expected = MaskedDense(model, masks)(inputs)
    torch.manual_seed(4)
    torch.testing.assert_close(small.model(inputs), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["momentum", "sgd", "adam"])
def test_its_own_optimizer_takes_the_reference_optimizers_steps(name: str) -> None:
    case = Case("resnet20", "snip", 1.5)
    model = start_of(case)
    masks = masks_of(case, model)
    config = TrainingConfig(epochs=1, optimizer=name, lr=0.01, weight_decay=1e-3)
    states: list[Any] = []
    for fused in (True, False):
        small = compacted(model, masks)
        optimizer = small.optimizer(config)
        if not fused:
            for group in optimizer.param_groups:
                group["fused"] = False
        for seed in range(3):
            inputs = torch.randn(8, *SHAPE, generator=torch.Generator().manual_seed(seed)).double()
            optimizer.zero_grad()
            F.cross_entropy(small.model(inputs), torch.arange(8)).backward()
            optimizer.step()
            zero_removed(small.removed_weights())
        full = copy.deepcopy(model)
        small.restore_into(full)
        states.append(full.state_dict())
    for key, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][key], rtol=1e-10, atol=1e-12)


class Unfinished(nn.Module):
    """A layer is never called, and of another nothing is made."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.never, self.dead = nn.Linear(8, 5), nn.Linear(8, 5)
        self.head = nn.Linear(8, 10)

    def forward(self, images_nchw: Tensor) -> Tensor:
        pooled = torch.relu(self.stem(images_nchw)).mean((2, 3))
        torch.relu(self.dead(pooled))
        return self.head(pooled)


def test_layers_that_the_output_is_not_computed_from_stay_as_they_are() -> None:
    torch.manual_seed(0)
    model = Unfinished().double().train()
    masks = {name: torch.rand_like(weight) < 0.6 for name, weight in prunable_weights(model).items()}
    masks["head.weight"][:, :4] = False  # the rest of what is left out decays
    row = measure_network(Case("", "", 0, optimizer="adamw"), model, masks)
    assert holds(row), row


def test_restoring_twice_is_restoring_once_also_with_training_in_between() -> None:
    torch.manual_seed(0)
    model = ConvNet(input_shape=SHAPE, num_classes=10).double().train()
    masks = {name: torch.rand_like(weight) < 0.6 for name, weight in prunable_weights(model).items()}
    masks["features.0.weight"][:5] = False
    small = compacted(model, masks)
    small.model(torch.randn(4, *SHAPE).double())
    small.restore_into(model)
    once = copy.deepcopy(model.state_dict())
    small.restore_into(model)
    assert all(torch.equal(tensor, once[name]) for name, tensor in model.state_dict().items())
    small.model(torch.randn(4, *SHAPE).double())
    small.restore_into(model)
    assert model.state_dict()["features.1.num_batches_tracked"] == 2
    torch.testing.assert_close(model.state_dict()["features.1.running_var"][0].item(), 0.9**2, rtol=1e-14, atol=0)


@pytest.mark.parametrize("build", [MLP, ConvNet])
def test_images_are_laid_out_in_channels_last_only_for_convolutions(build: Callable[..., nn.Module]) -> None:
    model = build(input_shape=SHAPE, num_classes=10)
    small = compacted(model, all_kept(prunable_weights(model)))
    seen: list[Tensor] = []
    small.model.layers.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.randn(4, *SHAPE)
    small.model(images)
    assert (seen[0] is images) == (build is MLP)
    assert seen[0].is_contiguous(memory_format=torch.channels_last) == (build is ConvNet)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.layer(torch.relu(self.layer(x)))))


class ByMode(Shared):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        return self.last(torch.relu(hidden) if self.training else hidden)


class Branching(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x) if x.sum() > 0 else x)


class Overwriting(Shared):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        return self.last(F.relu(hidden, inplace=True) + hidden)


class OverwritingAView(Shared):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        return self.last(F.relu(torch.flatten(hidden, 1), inplace=True) + hidden)


class OverwritingByPosition(Shared):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        return self.last(F.leaky_relu(hidden, 0.1, True) + hidden)


class OverwritingUnseen(Shared):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(x)
        F.relu(hidden, inplace=True)
        return self.last(hidden)


class OverwritingImages(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(x.view(x.size(0), -1), inplace=True))


class WithUnused(nn.Module):
    """Calls a module and makes nothing of its result."""

    def __init__(self, unused: nn.Module) -> None:
        super().__init__()
        self.unused = unused
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        torch.relu(self.unused(x))
        return self.last(x)


class Unknown(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cumsum(self.layer(x), 1))


class RandomFunction(Shared):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.dropout(self.layer(x)))


class Frozen(nn.Sequential):
    """BatchNorm keeps the statistics that it came with."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self[1].eval()
        return self


class AlwaysRandom(Frozen):
    def train(self, mode: bool = True) -> Self:
        return nn.Sequential.train(self, True)


class SkippingAtRandom(Shared):
    """Stochastic depth. Seldom enough that tracing sees one way alone."""

    draw: Callable[[], Any]

    def forward(self, x: Tensor) -> Tensor:
        skips = self.training and float(type(self).draw()) < 1e-9
        return self.last(x if skips else torch.relu(self.layer(x)))


class SkippingByTorch(SkippingAtRandom):
    draw = partial(torch.rand, ())


class SkippingByPython(SkippingAtRandom):
    draw = random.random


class SkippingByNumPy(SkippingAtRandom):
    draw = np.random.random


class Folding(nn.Module):
    """One linear layer for both halves of the features, which are examples to it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.layer(x.reshape(-1, 2))).reshape(x.size(0), -1))


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))


HOOKS: dict[str, Callable[[nn.Linear], Any]] = {
    "forward": lambda layer: layer.register_forward_hook(lambda module, inputs, output: output * 2),
    "before forward": lambda layer: layer.register_forward_pre_hook(lambda module, inputs: None),
    "backward": lambda layer: layer.register_full_backward_hook(lambda module, inputs, outputs: None),
    "before backward": lambda layer: layer.register_full_backward_pre_hook(lambda module, gradient: None),
    "gradient": lambda layer: layer.weight.register_hook(lambda gradient: gradient / 2),
    "after gradient": lambda layer: layer.bias.register_post_accumulate_grad_hook(lambda parameter: None),
    "of all modules": lambda layer: nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_of_all_kinds_fall_back(kind: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    masks = all_kept(prunable_weights(model))
    hook = HOOKS[kind](model[0])  # type: ignore[arg-type]
    try:
        found = compact(model, masks, (4,))
    finally:
        hook.remove()
    assert isinstance(found, NotCompacted)
    assert "hooks" in found.reason
    compacted(model, masks, (4,))


def replaced() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].forward = torch.tanh
    return model


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    model[1].weight = model[0].weight
    return model


def cumulative() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (Shared, "layer is called more than once"),
        (ByMode, "computes differently in train and in eval mode"),
        (Branching, "torch.fx cannot trace Branching"),
        (Overwriting, "overwrites a tensor that is read elsewhere"),
        (OverwritingAView, "overwrites a tensor that is read elsewhere"),
        (OverwritingByPosition, "overwrites a tensor that is read elsewhere"),
        (OverwritingUnseen, "overwrites a tensor that is read elsewhere"),
        (OverwritingImages, "overwrites a tensor that is read elsewhere"),
        (partial(WithUnused, nn.BatchNorm1d(4)), "the result of unused is not used"),
        (partial(WithUnused, nn.Dropout()), "the result of unused is not used"),
        (Unknown, "cumsum"),
        (RandomFunction, "dropout"),
        (Frozen, "1 does not follow train(True)"),
        (AlwaysRandom, "AlwaysRandom does not follow train(False)"),
        (SkippingByTorch, "draws random numbers"),
        (SkippingByPython, "draws random numbers"),
        (SkippingByNumPy, "draws random numbers"),
        (Folding, "reshape makes (4, 2) of 2 images"),
        (normalised, "1 is a LayerNorm"),
        (replaced, "0 has a forward of its own"),
        (tied, "1.weight and 0.weight are one parameter"),
        (cumulative, "momentum=None"),
    ],
)
def test_what_is_not_understood_falls_back_and_says_why(build: Any, reason: str) -> None:
    model = build()
    noise = noise_state(torch.device("cpu"))
    found = compact(model, all_kept(prunable_weights(model)), (4,))
    assert isinstance(found, NotCompacted)
    assert_equal_noise(noise)
    assert reason in found.reason
    assert len(found.reason.splitlines()) == 1


@pytest.mark.parametrize("name", [name for name in MODELS if name != "torchvision" and "1202" not in name])
def test_every_model_that_ships_is_compacted(name: str) -> None:
    options = {"width_factor": 0.1} if "width_factor" in MODELS[name].options else {}
    model = pkgutil.resolve_name(MODELS[name].target)(input_shape=(3, 32, 32), num_classes=10, **options)
    masks = {name: torch.rand_like(weight) < 0.3 for name, weight in prunable_weights(model).items()}
    compacted(model, masks, (3, 32, 32))


def test_an_error_in_reading_a_network_is_a_reason_and_running_out_of_memory_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(error: Exception) -> NotCompacted | Compacted:
        monkeypatch.setattr(module, "find_kept", Mock(side_effect=error))
        return module.compact(two_layers(nn.ReLU()), {"0.weight": PATHS["first"], "3.weight": PATHS["last"]}, (2,))

    module = sys.modules[compact.__module__]
    assert failing(IndexError("3 of 2")) == NotCompacted("IndexError in compaction: 3 of 2")
    for error in (MemoryError(), torch.OutOfMemoryError()):
        with pytest.raises(type(error)):
            failing(error)
