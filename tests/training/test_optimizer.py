"""Updates against hand-written float64, and the learning rate as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from training.config import TrainingConfig
from training.optimizer import build_optimizer, learning_rate


@pytest.mark.parametrize(
    ("drops", "rates"),
    [
        ((), [0.5, 0.5, 0.5, 0.5, 0.5]),
        ((2,), [0.5, 0.5, 0.05, 0.05, 0.05]),
        ((1, 3), [0.5, 0.05, 0.05, 0.005, 0.005]),
        ((3, 1), [0.5, 0.05, 0.05, 0.005, 0.005]),
        ((0, 9), [0.05, 0.05, 0.05, 0.05, 0.05]),
        ((2, 2), [0.5, 0.5, 0.005, 0.005, 0.005]),
    ],
)
def test_the_learning_rate_drops_after_each_of_the_given_epochs(drops: tuple[int, ...], rates: list[float]) -> None:
    config = TrainingConfig(epochs=5, lr=0.5, lr_drops=drops, lr_drop_factor=0.1)
    assert [learning_rate(config, epoch) for epoch in range(1, 6)] == pytest.approx(rates, rel=1e-14)


def updated(config: TrainingConfig, gradients: list[list[float]]) -> list[float]:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    optimizer = build_optimizer([parameter], config)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return list(parameter.detach().tolist())


GRADIENTS = [[0.3, -1.0, 2.0], [-0.7, 0.1, 0.2], [0.0, 5.0, -1.0], [1.0, 1.0, 1.0]]
LR, MOMENTUM, DECAY = 0.1, 0.9, 0.01


def test_momentum_is_nesterovs() -> None:
    theta, velocity = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for gradient in np.array(GRADIENTS):
        decayed = gradient + DECAY * theta
        velocity = MOMENTUM * velocity + decayed
        theta = theta - LR * (decayed + MOMENTUM * velocity)
    config = TrainingConfig(epochs=1, optimizer="momentum", lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    assert updated(config, GRADIENTS) == pytest.approx(theta.tolist(), rel=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_has_no_momentum(momentum: float) -> None:
    theta = np.array([1.0, -2.0, 0.5])
    for gradient in np.array(GRADIENTS):
        theta = theta - LR * (gradient + DECAY * theta)
    config = TrainingConfig(epochs=1, optimizer="sgd", lr=LR, momentum=momentum, weight_decay=DECAY)
    assert updated(config, GRADIENTS) == pytest.approx(theta.tolist(), rel=1e-14)


def test_adam_is_kingma_and_bas() -> None:
    theta, first, second = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(np.array(GRADIENTS), start=1):
        decayed = gradient + DECAY * theta
        first = 0.9 * first + 0.1 * decayed
        second = 0.999 * second + 0.001 * decayed**2
        theta = theta - LR * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    config = TrainingConfig(epochs=1, optimizer="adam", lr=LR, weight_decay=DECAY)
    assert updated(config, GRADIENTS) == pytest.approx(theta.tolist(), rel=1e-12)


def test_an_unknown_optimizer_is_refused_with_the_known_ones() -> None:
    config: Any = TrainingConfig(epochs=1, optimizer="rmsprop")
    with pytest.raises(ValueError, match="optimizer 'rmsprop': expected 'sgd', 'momentum' or 'adam'"):
        build_optimizer([nn.Parameter(torch.zeros(1))], config)
