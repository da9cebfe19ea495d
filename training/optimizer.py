"""Optimizers and the step schedule of the learning rate."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from training.config import TrainingConfig


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    """The configured optimizer over `parameters`. "momentum" is SGD with Nesterov momentum, as the paper trains.

    Raises ValueError for an unknown name.
    """
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
    if config.optimizer not in ("sgd", "momentum"):
        raise ValueError(f"optimizer {config.optimizer!r}: expected 'sgd', 'momentum' or 'adam'")
    momentum = config.momentum if config.optimizer == "momentum" else 0.0
    return torch.optim.SGD(
        parameters, lr=config.lr, momentum=momentum, nesterov=momentum > 0, weight_decay=config.weight_decay
    )


def learning_rate(config: TrainingConfig, epoch: int) -> float:
    """Learning rate during `epoch` (1 is the first): dropped once for each of `lr_drops` that lies behind it."""
    num_drops = sum(epoch > drop for drop in config.lr_drops)
    return config.lr * config.lr_drop_factor**num_drops
