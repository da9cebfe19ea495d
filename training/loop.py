"""The reference training loop: dense tensors, masked once after every step.

Masking after the step gives the same weights as masking in every forward pass (a removed weight is zero whenever it is
read) at the price of one pass over the weights. This loop is the oracle for every faster engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning.masks import Masks
from pruning.prunable import prunable_weights
from training.config import PRECISIONS, TrainingConfig
from training.datasets.contract import Dataset, Split
from training.evaluate import evaluate
from training.optimizer import build_optimizer, learning_rate
from training.record import EpochRecord
from training.seeds import generator, global_seed

Removed = list[tuple[nn.Parameter, Tensor]]
"""Weights, each with a boolean tensor of its shape: True is removed."""


def train(
    model: nn.Module, masks: Masks, dataset: Dataset, config: TrainingConfig, order_seed: int
) -> Iterator[EpochRecord]:
    """Train `model` in place under `masks`, yielding one record an epoch.

    The order of examples in an epoch depends on (order_seed, epoch) alone, and so does dropout: all pruners of a seed
    see the same batches. Without epochs the untrained network is measured, as epoch 0. A record's learning rate is that
    of the epoch's last step. Training that diverges goes on, and its records hold the losses that are not finite.
    Raises ValueError for an option that is unknown or that the data set cannot serve.
    """
    if config.augment:
        raise ValueError("augment is set, but this data set has no augmentation of its own: write augment: false")
    if config.precision not in PRECISIONS:
        raise ValueError(f"precision {config.precision!r}: expected one of {', '.join(PRECISIONS)}")
    removed = removed_weights(model, masks)
    zero_removed(removed)
    if config.epochs == 0:
        untrained = evaluate(model, dataset.train)
        yield _record(model, dataset, epoch=0, lr=config.lr, train_loss=untrained.loss if untrained else math.nan)
    optimizer = build_optimizer(model.parameters(), config)
    steps = math.ceil(len(dataset.train) / config.batch_size)
    for epoch in range(1, config.epochs + 1):
        rates = [learning_rate(config, (epoch - 1) * steps + step, steps) for step in range(1, steps + 1)]
        order = torch.randperm(len(dataset.train), generator=generator(order_seed, f"order/{epoch}"))
        with global_seed(order_seed, f"noise/{epoch}", dataset.train.labels.device):
            train_loss = train_epoch(model, removed, dataset.train, order, config, optimizer, rates)
        yield _record(model, dataset, epoch=epoch, lr=rates[-1], train_loss=train_loss)


def train_epoch(
    model: nn.Module,
    removed: Removed,
    split: Split,
    order: torch.Tensor,
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
    rates: list[float],
) -> float:
    """One pass over `split` in the given order, at the given learning rate of each step.

    Returns the mean over images of the training loss before each step, label smoothing included.
    """
    model.train()
    device = split.labels.device
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    for batch, lr in zip(order.to(device).split(config.batch_size), rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss = training_loss(model, split.images[batch], split.labels[batch], config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.clip_grad_norm:
            clip_gradients(model, removed, config.clip_grad_norm)
        optimizer.step()
        zero_removed(removed)
        loss_sum += loss.detach().double() * len(batch)
    return float(loss_sum) / len(order)


def training_loss(model: nn.Module, images: Tensor, labels: Tensor, config: TrainingConfig) -> Tensor:
    """Mean cross-entropy over the batch with the configured label smoothing and precision.

    bf16 is autocast: parameters, their gradients and the loss stay in the parameters' own dtype or float32.
    """
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
        return F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)


def clip_gradients(model: nn.Module, removed: Removed, max_norm: float) -> None:
    """Scale all gradients so that their Euclidean norm together is at most `max_norm`.

    A removed weight has a gradient too, often a large one, that trains nothing: it must not shrink the others'.
    """
    for weight, gone in removed:
        if weight.grad is not None:
            weight.grad.masked_fill_(gone, 0.0)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)


def removed_weights(model: nn.Module, masks: Masks) -> Removed:
    """The prunable weights of `model` with what `masks` removes of them; layers that lose nothing are left out."""
    pairs = ((weight, ~masks[name]) for name, weight in prunable_weights(model).items())
    return [(weight, removed) for weight, removed in pairs if removed.any()]


@torch.no_grad()
def zero_removed(removed: Removed) -> None:
    """Set removed weights to zero, also where an overflowing step made them infinite or NaN."""
    for weight, gone in removed:
        weight.masked_fill_(gone, 0.0)


def _record(model: nn.Module, dataset: Dataset, *, epoch: int, lr: float, train_loss: float) -> EpochRecord:
    return EpochRecord.of(
        epoch=epoch,
        lr=lr,
        train_loss=train_loss,
        validation=evaluate(model, dataset.validation),
        test=evaluate(model, dataset.test),
    )
