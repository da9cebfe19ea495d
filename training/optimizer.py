"""Optimizers, and the learning rate as a function of configuration and step alone. Formulas: docs/recipes.md."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from training.config import OPTIMIZERS, TrainingConfig


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    """The configured optimizer over `parameters`, at the configured learning rate.

    Raises ValueError for an unknown name or unknown parameters to decay.
    """
    groups = decay_groups(parameters, config)
    decay = config.weight_decay
    betas = (config.beta1, config.beta2)
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=config.lr, weight_decay=decay)
        case "momentum":
            return torch.optim.SGD(
                groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, weight_decay=decay
            )
        case "adam":
            return torch.optim.Adam(groups, lr=config.lr, betas=betas, eps=config.epsilon, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.epsilon, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, lr=config.lr, alpha=config.rmsprop_alpha, eps=config.epsilon, weight_decay=decay
            )
    raise ValueError(f"optimizer {config.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}")


def decay_groups(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> list[dict[str, object]]:
    """Parameters in groups of equal weight decay: one, or weights apart from biases and BatchNorm's."""
    every = list(parameters)
    if config.weight_decay_on == "all":
        return [{"params": every}]
    if config.weight_decay_on != "weights":
        raise ValueError(f"weight_decay_on {config.weight_decay_on!r}: expected 'all' or 'weights'")
    weights = [parameter for parameter in every if parameter.dim() >= 2]
    others = [parameter for parameter in every if parameter.dim() < 2]
    return [{"params": weights}, {"params": others, "weight_decay": 0.0}]


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step; step 1 is the first of the training. Raises ValueError for an unknown schedule.

    "step" drops between epochs, once for each of `lr_drops` that lies behind; cosine and warm-up change every step.
    Warm-up: step t of W trains at t / W of the schedule, so the first step moves and the last has the full rate.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if config.lr_schedule == "step":
        epoch = math.ceil(step / steps_per_epoch)
        num_drops = sum(epoch > drop for drop in config.lr_drops)
        rate = config.lr * config.lr_drop_factor**num_drops
    elif config.lr_schedule == "cosine":
        # the share of what follows the warm-up that lies behind: 0 at its first step, never quite 1
        share = max(0, step - 1 - warmup) / max(1, config.epochs * steps_per_epoch - warmup)
        rate = config.lr * (1 + math.cos(math.pi * share)) / 2
    else:
        raise ValueError(f"lr_schedule {config.lr_schedule!r}: expected 'step' or 'cosine'")
    return rate * min(1.0, step / warmup) if warmup else rate


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Take the next step at a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
