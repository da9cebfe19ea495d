"""A collapsed network's training on labels alone, against masked dense training on images, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from benchmarks.compaction_exactness import SHAPE, MaskedDense, state_difference
from models.convnet import ConvNet
from pruning.masks import Masks
from pruning.prunable import prunable_weights
from training.compaction.compact import Compacted, compact
from training.compaction.tail import Tail, label_shares
from training.config import TrainingConfig
from training.engines import training_loss
from training.masking import clip_gradients, zero_removed
from training.optimizer import build_optimizer

RECIPES = {
    "nesterov": TrainingConfig(epochs=1, lr=0.1, weight_decay=1e-2),
    "sgd, smoothed": TrainingConfig(epochs=1, optimizer="sgd", lr=0.1, momentum=0.0, label_smoothing=0.2),
    "adam, clipped": TrainingConfig(epochs=1, optimizer="adam", lr=1e-2, momentum=0.0, clip_grad_norm=0.1),
    "adamw, decay of weights": TrainingConfig(
        epochs=1, optimizer="adamw", lr=1e-2, momentum=0.0, weight_decay=0.1, weight_decay_on="weights"
    ),
    "rmsprop": TrainingConfig(epochs=1, optimizer="rmsprop", lr=1e-3, momentum=0.0, weight_decay=1e-2),
}


def lone_bias() -> tuple[nn.Module, Masks]:
    """Nothing feeds the classifier: its bias is all that trains."""
    torch.manual_seed(0)
    model = ConvNet(input_shape=SHAPE, num_classes=10).double()
    masks = {name: torch.rand_like(weight) < 0.3 for name, weight in prunable_weights(model).items()}
    masks["features.4.weight"] = torch.zeros_like(masks["features.4.weight"])
    return model.train(), masks


def constants() -> tuple[nn.Module, Masks]:
    """Biases from the start: behind the cut, weights train on constants that differ at borders.

    No BatchNorm: it leaves gradients of rounding noise, along which Adam would take whole steps.
    """
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10)),
    ).double()
    masks = {name: torch.rand_like(weight) < 0.7 for name, weight in prunable_weights(model).items()}
    return model.train(), masks | {"0.weight": torch.zeros_like(masks["0.weight"])}


def counts(labels: Tensor) -> Tensor:
    return torch.bincount(labels, minlength=10).double()


def step(network: MaskedDense | Compacted, loss: Tensor, optimizer: torch.optim.Optimizer, clip: float) -> float:
    removed = network.removed_weights() if isinstance(network, Compacted) else []
    if clip:
        clip_gradients(network.model, removed, clip)
    optimizer.step()
    zero_removed(removed)
    return loss.item()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("build", [lone_bias, constants])
def test_labels_alone_train_it_as_masked_dense_is_trained_on_images(build: object, recipe: str) -> None:
    assert callable(build)
    model, masks = build()
    config = RECIPES[recipe]
    small, dense = compact(model, masks, SHAPE), MaskedDense(copy.deepcopy(model), masks)
    assert isinstance(small, Compacted)
    assert not small.depends_on_images
    tail = Tail(small.model)
    assert tail.is_lone_bias == (build is lone_bias)
    ours, theirs = small.optimizer(config), build_optimizer(dense.model.parameters(), config)
    for number, batch in enumerate((12, 5, 12, 9)):
        source = torch.Generator().manual_seed(number)
        labels = torch.randint(10, (batch,), generator=source)
        images = torch.randn(batch, *SHAPE, generator=source, dtype=torch.float64)
        theirs.zero_grad()
        loss = training_loss(dense, images, labels, config)  # type: ignore[arg-type]
        loss.backward()
        expected = step(dense, loss, theirs, config.clip_grad_norm)
        loss = tail.backward(images.flatten(1)[:, :0], counts(labels), config)
        found = step(small, loss, ours, config.clip_grad_norm)
        assert found == pytest.approx(expected, rel=1e-12)
    restored = copy.deepcopy(model)
    small.restore_into(restored)
    assert state_difference(restored.state_dict(), dense.state(), small.untracked()) < 1e-10


def test_the_lone_bias_gets_the_gradient_that_autograd_gives() -> None:
    model, masks = lone_bias()
    small = compact(model, masks, SHAPE)
    assert isinstance(small, Compacted)
    labels = torch.tensor([3, 3, 0, 9, 1])
    with torch.no_grad():
        next(small.model.layers.parameters()).copy_(torch.linspace(-2, 3, 10))
    config = TrainingConfig(epochs=1, label_smoothing=0.1)
    images = torch.empty(5, 0, dtype=torch.float64)
    loss = training_loss(small.model, images, labels, config)
    loss.backward()
    expected = {name: parameter.grad for name, parameter in small.model.named_parameters()}
    small.model.zero_grad(set_to_none=True)
    assert Tail(small.model).backward(images, counts(labels), config).item() == pytest.approx(loss.item(), rel=1e-14)
    for name, parameter in small.model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-13, atol=1e-16)


def test_label_shares_are_smoothed_frequencies() -> None:
    shares = label_shares(torch.tensor([1.0, 0.0, 3.0, 0.0], dtype=torch.float64), 4, 0.2)
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.05, 0.65, 0.05], dtype=torch.float64))


def test_in_half_precision_the_loss_is_computed_as_a_batchs_is() -> None:
    model, masks = constants()
    small = compact(model.float(), masks, SHAPE)
    assert isinstance(small, Compacted)
    config = TrainingConfig(epochs=1, precision="bf16", label_smoothing=0.1)
    labels = torch.tensor([3, 3, 0, 9, 1])
    expected = training_loss(small.model, torch.empty(5, 0), labels, config).item()
    found = Tail(small.model).backward(torch.empty(5, 0), counts(labels), config).item()
    assert found == pytest.approx(expected, rel=1e-6)
