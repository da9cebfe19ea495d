"""The reference loop against training with masks in the forward pass, in float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.convnet import ConvNet
from pruning.masks import Masks
from pruning.prunable import prunable_weights
from training.config import OPTIMIZERS, TrainingConfig
from training.datasets.augment import Augmentation
from training.datasets.contract import Dataset, Split
from training.engines import masked_dense, training_loss
from training.evaluate import evaluate
from training.loop import Training, train
from training.masking import clip_gradients, removed_weights, zero_removed
from training.optimizer import build_optimizer, learning_rate
from training.record import EpochRecord
from training.seeds import derive_seed, generator

SHAPE, CLASSES = (1, 6, 6), 4


def split(num: int, seed: int, dtype: torch.dtype) -> Split:
    source = torch.Generator().manual_seed(seed)
    return Split(
        images=torch.randn(num, *SHAPE, generator=source).to(dtype),
        labels=torch.randint(CLASSES, (num,), generator=source),
    )


def train_split(dtype: torch.dtype = torch.float64) -> Split:
    return split(50, 0, dtype)


def dataset(dtype: torch.dtype = torch.float64) -> Dataset:
    return Dataset(
        train=train_split(dtype), validation=split(0, 1, dtype), test=split(30, 2, dtype), num_classes=CLASSES
    )


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ConvNet(input_shape=SHAPE, num_classes=CLASSES, widths=(4, 5)).double()


def random_masks(model: nn.Module, seed: int = 0) -> Masks:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.rand(w.shape, generator=source) < 0.4 for name, w in prunable_weights(model).items()}


CONFIG = TrainingConfig(epochs=3, lr=0.05, weight_decay=1e-3, batch_size=16, lr_drops=(1,))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_removed_weights_are_exactly_zero_after_every_step(optimizer: str) -> None:
    model, data = network(), dataset()
    masks = random_masks(model)
    config = TrainingConfig(epochs=1, optimizer=optimizer, lr=0.05, weight_decay=1e-2, batch_size=10)
    training = Training(masked_dense(model, masks, config), data, config, order_seed=0)
    num_checked = 0

    def check() -> None:
        nonlocal num_checked
        num_checked += 1
        for name, weight in prunable_weights(model).items():
            assert not weight[~masks[name]].any()
            assert weight[masks[name]].all()

    assert [record.epoch for record in training.run(5, check)] == [1]
    assert num_checked == 5


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


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_masking_after_the_step_trains_as_masking_in_the_forward_pass(optimizer: str) -> None:
    config = TrainingConfig(epochs=3, optimizer=optimizer, lr=0.02, weight_decay=1e-3, batch_size=16, lr_drops=(1,))
    model, data = network(), dataset()
    masks = random_masks(model)
    losses = [record.train_loss for record in train(model, masks, data, config, order_seed=7)]

    examples, oracle = train_split(), network().train()
    steps = build_optimizer(oracle.parameters(), config)
    expected = []
    for epoch in (1, 2, 3):
        for group in steps.param_groups:
            group["lr"] = 0.02 if epoch == 1 else 0.002
        total = 0.0
        for batch in torch.randperm(50, generator=generator(7, f"order/{epoch}")).split(16):
            masked = {name: weight * masks[name] for name, weight in prunable_weights(oracle).items()}
            logits = torch.func.functional_call(oracle, masked, (examples.images[batch],))
            loss = F.cross_entropy(logits, examples.labels[batch])
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
        assert record.epoch == epoch
        assert record.lr == pytest.approx(0.05 if epoch == 1 else 0.005)
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
    assert all(sorted(order) == sorted(train_split().images[:, 0, 0, 0].tolist()) for order in first)
    assert first[0] != first[1] != first[2]
    assert orders(seed=2, epochs=1, masks_seed=0)[0] not in first


def test_augmentation_depends_on_seed_and_epoch_alone_and_reaches_training_only() -> None:
    def run(epochs: int, augment: bool, seed: int = 1) -> tuple[list[Tensor], list[Tensor]]:
        model, data = network(), dataset()
        assert isinstance(data.train, Split)
        data = replace(data, train=replace(data.train, augmentation=Augmentation(padding=2)))
        seen: dict[bool, list[Tensor]] = {True: [], False: []}
        model.register_forward_pre_hook(lambda module, args: seen[module.training].append(args[0].clone()))
        config = TrainingConfig(epochs=epochs, batch_size=50, augment=augment)
        list(train(model, random_masks(model), data, config, order_seed=seed))
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
    images = train_split().images[order]
    augmentation = Augmentation(padding=2)
    assert same(trained[1], augmentation.apply(images, augmentation.draw(50, seed)[order]))


def test_without_epochs_a_network_is_masked_and_nothing_is_measured() -> None:
    model, data = network(), dataset()
    masks = random_masks(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert list(train(model, masks, data, TrainingConfig(epochs=0, lr=0.3), order_seed=0)) == []
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


def test_the_default_recipe_gives_the_bits_of_the_straightforward_loop() -> None:
    """SGD with Nesterov momentum, cross-entropy, masks after the step: no option may cost a rounding by being there."""
    data, examples = dataset(torch.float32), train_split(torch.float32)
    config = TrainingConfig(epochs=3, lr=0.05, weight_decay=1e-3, batch_size=16, lr_drops=(1,))
    model, plain = network().float(), network().float().train()
    masks = random_masks(model)
    losses = [record.train_loss for record in train(model, masks, data, config, order_seed=7)]

    expected = []
    weights = prunable_weights(plain)
    for name, weight in weights.items():
        weight.data[~masks[name]] = 0.0
    steps = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)
    for epoch in (1, 2, 3):
        for group in steps.param_groups:
            group["lr"] = 0.05 if epoch == 1 else 0.05 * 0.1
        total = 0.0
        for batch in torch.randperm(50, generator=generator(7, f"order/{epoch}")).split(16):
            loss = F.cross_entropy(plain(examples.images[batch]), examples.labels[batch])
            steps.zero_grad()
            loss.backward()
            steps.step()
            for name, weight in weights.items():
                weight.data[~masks[name]] = 0.0
            total += loss.item() * len(batch)
        expected.append(total / 50)
    assert losses == expected
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_label_smoothing_spreads_a_share_of_the_target_evenly() -> None:
    model, examples = network(), train_split()
    images, labels = examples.images[:7], examples.labels[:7]
    logits = model(images).detach().numpy()
    log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    target = np.full((7, CLASSES), 0.3 / CLASSES)
    target[np.arange(7), labels.numpy()] += 0.7
    config = TrainingConfig(epochs=1, label_smoothing=0.3)
    loss = training_loss(model, images, labels, config)
    assert loss.item() == pytest.approx(-(target * log_probability).sum(axis=1).mean(), rel=1e-12)


def test_label_smoothing_changes_training_but_not_what_is_measured() -> None:
    def record(smoothing: float) -> EpochRecord:
        model = network()
        config = TrainingConfig(epochs=1, lr=1e-12, label_smoothing=smoothing)
        return next(train(model, random_masks(model), dataset(), config, order_seed=0))

    plain, smooth = record(0.0), record(0.5)
    assert smooth.train_loss != pytest.approx(plain.train_loss, rel=1e-3)
    assert smooth.test_loss == pytest.approx(plain.test_loss, rel=1e-9)


@pytest.mark.parametrize(("max_norm", "factor"), [(2.5, 0.5), (50.0, 1.0)])
def test_clipping_counts_the_gradients_of_kept_parameters_only(max_norm: float, factor: float) -> None:
    layer = nn.Linear(2, 2).double()
    layer.weight.grad = torch.tensor([[3.0, 1e9], [-1e30, 0.0]], dtype=torch.float64)
    layer.bias.grad = torch.tensor([0.0, 4.0], dtype=torch.float64)
    gone = torch.tensor([[False, True], [True, False]])
    clip_gradients(layer, [(layer.get_parameter("weight"), gone)], max_norm)  # the norm of 3 and 4 is 5
    assert layer.weight.grad.tolist() == [[pytest.approx(3 * factor, rel=1e-6), 0.0], [0.0, 0.0]]
    assert layer.bias.grad.tolist() == [0.0, pytest.approx(4 * factor, rel=1e-6)]


def test_clipped_steps_are_no_longer_than_the_limit_allows() -> None:
    model, data = network(), dataset()
    masks = random_masks(model)
    zero_removed(removed_weights(model, masks))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    config = TrainingConfig(epochs=1, optimizer="sgd", lr=0.5, clip_grad_norm=1e-3, batch_size=50)
    list(train(model, masks, data, config, order_seed=0))
    moved = sum(((after - start) ** 2).sum() for after, start in zip(model.parameters(), before, strict=True)) ** 0.5
    assert moved.item() == pytest.approx(0.5 * 1e-3, rel=1e-2)


def test_bf16_trains_otherwise_than_float32_and_leaves_parameters_in_float32() -> None:
    def trained(precision: str) -> tuple[nn.Module, float]:
        model = network().float()
        config = TrainingConfig(epochs=2, lr=0.05, batch_size=16, precision=precision)
        records = list(train(model, random_masks(model), dataset(torch.float32), config, order_seed=0))
        return model, records[-1].train_loss

    (exact, exact_loss), (coarse, coarse_loss) = trained("float32"), trained("bf16")
    assert {parameter.dtype for parameter in coarse.parameters()} == {torch.float32}
    assert coarse_loss != exact_loss
    assert coarse_loss == pytest.approx(exact_loss, rel=0.05)
    assert trained("bf16")[1] == coarse_loss
    for name, weight in prunable_weights(coarse).items():
        assert not weight[~random_masks(exact)[name]].any()


def test_the_forward_pass_of_bf16_rounds_to_eight_bits() -> None:
    layer = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0 + 2**-9], [0.0]]))  # bfloat16 holds 1 and 1 + 2^-7
    images, labels = torch.ones(1, 1), torch.zeros(1, dtype=torch.long)
    losses = [
        training_loss(layer, images, labels, TrainingConfig(epochs=1, precision=precision)).item()
        for precision in ("float32", "bf16")
    ]
    assert losses == pytest.approx([math.log1p(math.exp(-1 - 2**-9)), math.log1p(math.exp(-1))], rel=1e-6)


def test_every_step_trains_at_the_scheduled_rate_and_the_record_holds_the_last() -> None:
    model, data = network(), dataset()
    seen: list[float] = []
    config = TrainingConfig(epochs=2, lr=0.3, batch_size=16, lr_schedule="cosine", warmup_epochs=0.5)
    original = torch.optim.SGD.step

    def step(self: torch.optim.SGD) -> None:
        seen.extend({group["lr"] for group in self.param_groups})
        original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", step)
        records = list(train(model, random_masks(model), data, config, order_seed=0))
    assert seen == [learning_rate(config, number, 4) for number in range(1, 9)]
    assert [record.lr for record in records] == [seen[3], seen[7]]


def test_a_training_that_diverges_is_recorded_as_it_is() -> None:
    model = network()
    config = TrainingConfig(epochs=3, optimizer="sgd", lr=1e200, batch_size=16)
    records = list(train(model, random_masks(model), dataset(), config, order_seed=0))
    assert len(records) == 3
    assert not math.isfinite(records[-1].train_loss)
    assert not math.isfinite(records[-1].test_loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "precision 'fp8': expected one of float32, bf16"),
        ({"augment": True}, "augment: this data set has no augmentation of its own: train without augment"),
    ],
)
def test_what_cannot_be_trained_as_asked_is_refused(options: dict[str, Any], message: str) -> None:
    model = network()
    with pytest.raises(ValueError, match=message):
        next(train(model, random_masks(model), dataset(), TrainingConfig(epochs=1, **options), order_seed=0))
