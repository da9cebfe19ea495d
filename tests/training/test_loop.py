"""The reference loop against training with masks in the forward pass, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.convnet import ConvNet
from pruning.masks import Masks
from pruning.prunable import prunable_weights
from training.config import TrainingConfig
from training.datasets.augment import Augmentation
from training.datasets.contract import Dataset, Split
from training.evaluate import evaluate
from training.loop import removed_weights, train, train_epoch, zero_removed
from training.optimizer import build_optimizer
from training.seeds import derive_seed, generator

SHAPE, CLASSES = (1, 6, 6), 4


def split(num: int, seed: int, dtype: torch.dtype) -> Split:
    source = torch.Generator().manual_seed(seed)
    return Split(
        images=torch.randn(num, *SHAPE, generator=source).to(dtype),
        labels=torch.randint(CLASSES, (num,), generator=source),
    )


def dataset(dtype: torch.dtype = torch.float64) -> Dataset:
    return Dataset(
        train=split(50, 0, dtype), validation=split(0, 1, dtype), test=split(30, 2, dtype), num_classes=CLASSES
    )


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ConvNet(input_shape=SHAPE, num_classes=CLASSES, widths=(4, 5)).double()


def random_masks(model: nn.Module, seed: int = 0) -> Masks:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.rand(w.shape, generator=source) < 0.4 for name, w in prunable_weights(model).items()}


CONFIG = TrainingConfig(epochs=3, lr=0.05, weight_decay=1e-3, batch_size=16, lr_drops=(1,))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_removed_weights_are_exactly_zero_after_every_step(optimizer: str) -> None:
    model, data = network(), dataset()
    masks = random_masks(model)
    config = TrainingConfig(epochs=1, optimizer=optimizer, lr=0.05, weight_decay=1e-2)
    steps = build_optimizer(model.parameters(), config)
    for batch in torch.arange(50).split(10):
        train_epoch(model, removed_weights(model, masks), data.train, batch, 10, steps)
        for name, weight in prunable_weights(model).items():
            assert not weight[~masks[name]].any()
            assert weight[masks[name]].all()


def test_removed_weights_are_zero_even_after_a_step_that_overflows() -> None:
    model = network()
    masks = random_masks(model)
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.fill_(float("nan"))
    zero_removed(removed_weights(model, masks))
    for name, weight in prunable_weights(model).items():
        assert not weight[~masks[name]].any()
        assert weight[masks[name]].isnan().all()


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_masking_after_the_step_trains_as_masking_in_the_forward_pass(optimizer: str) -> None:
    config = TrainingConfig(epochs=3, optimizer=optimizer, lr=0.02, weight_decay=1e-3, batch_size=16, lr_drops=(1,))
    model, data = network(), dataset()
    masks = random_masks(model)
    losses = [record.train_loss for record in train(model, masks, data, config, order_seed=7)]

    oracle = network().train()
    steps = build_optimizer(oracle.parameters(), config)
    expected = []
    for epoch in (1, 2, 3):
        for group in steps.param_groups:
            group["lr"] = 0.02 if epoch == 1 else 0.002
        total = 0.0
        for batch in torch.randperm(50, generator=generator(7, f"order/{epoch}")).split(16):
            masked = {name: weight * masks[name] for name, weight in prunable_weights(oracle).items()}
            logits = torch.func.functional_call(oracle, masked, (data.train.images[batch],))
            loss = F.cross_entropy(logits, data.train.labels[batch])
            steps.zero_grad()
            loss.backward()
            steps.step()
            total += loss.item() * len(batch)
        expected.append(total / 50)
    assert losses == pytest.approx(expected, rel=1e-12)
    zero_removed(removed_weights(oracle, masks))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, oracle.state_dict()[name], rtol=1e-10, atol=1e-13)


def test_records_hold_the_epochs_rate_and_what_evaluation_measures() -> None:
    model, data = network(), dataset()
    for epoch, record in enumerate(train(model, random_masks(model), data, CONFIG, order_seed=0), start=1):
        measured = evaluate(model, data.test)
        assert measured is not None
        assert (record.test_loss, record.test_accuracy, record.test_top5) == (
            measured.loss,
            measured.accuracy,
            measured.top5,
        )
        assert (record.epoch, record.lr) == (epoch, pytest.approx(0.05 if epoch == 1 else 0.005))
        assert record.validation_loss is record.validation_accuracy is record.validation_top5 is None
    assert epoch == 3


def orders(seed: int, epochs: int, masks_seed: int) -> list[list[float]]:
    """The first pixel of every image in the order in which the network sees them, an epoch a row."""
    model, data = network(), dataset()
    seen: list[float] = []
    model.register_forward_pre_hook(
        lambda module, args: seen.extend(args[0][:, 0, 0, 0].tolist()) if module.training else None
    )
    config = TrainingConfig(epochs=epochs, batch_size=16)
    list(train(model, random_masks(model, masks_seed), data, config, order_seed=seed))
    return [seen[start : start + 50] for start in range(0, len(seen), 50)]


def test_the_order_of_examples_depends_on_seed_and_epoch_alone() -> None:
    first = orders(seed=1, epochs=3, masks_seed=0)
    torch.rand(9)
    assert orders(seed=1, epochs=2, masks_seed=5) == first[:2]
    assert len(first) == 3
    assert all(sorted(order) == sorted(dataset().train.images[:, 0, 0, 0].tolist()) for order in first)
    assert first[0] != first[1] != first[2]
    assert orders(seed=2, epochs=1, masks_seed=0)[0] not in first


def test_augmentation_depends_on_seed_and_epoch_alone_and_reaches_training_only() -> None:
    def run(epochs: int, augment: bool, seed: int = 1) -> tuple[list[Tensor], list[Tensor]]:
        model, data = network(), dataset()
        assert isinstance(data.train, Split)
        data = replace(data, train=replace(data.train, augmentation=Augmentation(padding=2)))
        seen: dict[bool, list[Tensor]] = {True: [], False: []}
        model.register_forward_pre_hook(lambda module, args: seen[module.training].append(args[0].clone()))
        config = TrainingConfig(epochs=epochs, batch_size=50)
        list(train(model, random_masks(model), data, config, order_seed=seed, augment=augment))
        return seen[True], seen[False]

    def same(one: Tensor, two: Tensor) -> bool:
        return torch.equal(one, two)

    trained, evaluated = run(2, augment=True)
    shorter, _ = run(1, augment=True)
    plain, plainly_evaluated = run(2, augment=False)
    assert same(trained[0], shorter[0])
    assert not same(trained[0], plain[0])
    assert not same(trained[0], trained[1])
    assert not same(trained[0], run(1, augment=True, seed=2)[0][0])
    assert all(map(same, evaluated, plainly_evaluated))
    seed = derive_seed(1, "augment/2")
    order = torch.randperm(50, generator=generator(1, "order/2"))
    images = dataset().train.images[order]
    augmentation = Augmentation(padding=2)
    assert same(trained[1], augmentation.apply(images, augmentation.draw(50, seed)[order]))


def test_without_epochs_the_untrained_masked_network_is_measured_once() -> None:
    model, data = network(), dataset()
    masks = random_masks(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    records = list(train(model, masks, data, TrainingConfig(epochs=0, lr=0.3), order_seed=0))
    measured = evaluate(model, data.test)
    assert measured is not None
    untrained = evaluate(model, data.train)
    assert untrained is not None
    assert [(record.epoch, record.lr, record.test_loss) for record in records] == [(0, 0.3, measured.loss)]
    assert records[0].train_loss == untrained.loss
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name].masked_fill(~masks[name], 0.0) if name in masks else before[name])


def test_dropout_depends_on_seed_and_epoch_alone_and_leaves_the_global_generator() -> None:
    def run() -> list[float]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(36, 20), nn.Dropout(0.5), nn.Linear(20, CLASSES)).double()
        return [record.train_loss for record in train(model, random_masks(model), dataset(), CONFIG, order_seed=3)]

    first = run()
    torch.rand(5)
    before = torch.get_rng_state()
    assert run() == first
    assert torch.equal(torch.get_rng_state(), before)
