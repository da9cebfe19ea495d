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
from training.config import TrainingConfig
from training.datasets.contract import Dataset, Examples
from training.evaluate import evaluate
from training.optimizer import build_optimizer, learning_rate
from training.record import EpochRecord
from training.seeds import derive_seed, generator, global_seed

Removed = list[tuple[nn.Parameter, Tensor]]
"""Weights, each with a boolean tensor of its shape: True is removed."""


def train(
    model: nn.Module,
    masks: Masks,
    dataset: Dataset,
    config: TrainingConfig,
    order_seed: int,
    *,
    augment: bool = False,
) -> Iterator[EpochRecord]:
    """Train `model` in place under `masks`, yielding one record an epoch.

    The order of examples in an epoch depends on (order_seed, epoch) alone, and so do dropout and, with `augment`, the
    data set's own augmentation: all pruners of a seed see the same batches. Without epochs the untrained network is
    measured, as epoch 0.
    """
    removed = removed_weights(model, masks)
    zero_removed(removed)
    if config.epochs == 0:
        untrained = evaluate(model, dataset.train)
        yield _record(model, dataset, epoch=0, lr=config.lr, train_loss=untrained.loss if untrained else math.nan)
    optimizer = build_optimizer(model.parameters(), config)
    for epoch in range(1, config.epochs + 1):
        lr = learning_rate(config, epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr
        order = torch.randperm(len(dataset.train), generator=generator(order_seed, f"order/{epoch}"))
        with global_seed(order_seed, f"noise/{epoch}", dataset.train.labels.device):
            augment_seed = derive_seed(order_seed, f"augment/{epoch}") if augment else None
            train_loss = train_epoch(model, removed, dataset.train, order, config.batch_size, optimizer, augment_seed)
        yield _record(model, dataset, epoch=epoch, lr=lr, train_loss=train_loss)


def train_epoch(
    model: nn.Module,
    removed: Removed,
    split: Examples,
    order: torch.Tensor,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    augment_seed: int | None = None,
) -> float:
    """One pass over `split` in the given order, augmented where there is a seed for it.

    Returns the mean training loss, before each step, over images.
    """
    model.train()
    device = split.labels.device
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    for images, labels in split.batches(order, batch_size, augment_seed):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        zero_removed(removed)
        loss_sum += loss.detach().double() * len(labels)
    return float(loss_sum) / len(order)


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
