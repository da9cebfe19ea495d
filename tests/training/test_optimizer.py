"""Updates against hand-written float64, the learning rate as a table and in closed form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from training.config import OPTIMIZERS, TrainingConfig
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
    for steps in (1, 3):
        every = [learning_rate(config, step, steps) for step in range(1, 5 * steps + 1)]
        assert every == pytest.approx([rate for rate in rates for _ in range(steps)], rel=1e-14)


def test_a_cosine_falls_from_lr_through_half_of_it_towards_zero() -> None:
    config = TrainingConfig(epochs=4, lr=0.8, lr_schedule="cosine")
    rates = [learning_rate(config, step, 3) for step in range(1, 13)]
    root = 3**0.5
    # 0.4 (1 + cos(k pi / 12)) at k = 0, 2, 4, 6, 8, 10, from a table of cosines
    expected = [0.8, 0.4 + 0.2 * root, 0.6, 0.4, 0.2, 0.4 - 0.2 * root]
    assert rates[::2] == pytest.approx(expected, rel=1e-14)
    assert all(early > late > 0 for early, late in pairwise(rates))


def test_a_warm_up_grows_in_equal_steps_from_the_first_to_the_full_rate() -> None:
    config = TrainingConfig(epochs=4, lr=0.6, warmup_epochs=1.5, lr_drops=(2,))
    rates = [learning_rate(config, step, 4) for step in range(1, 17)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, *[0.06] * 8], rel=1e-14)


def test_a_cosine_begins_where_the_warm_up_ends() -> None:
    config = TrainingConfig(epochs=4, lr=0.6, warmup_epochs=1, lr_schedule="cosine")
    rates = [learning_rate(config, step, 2) for step in range(1, 9)]
    root = 3**0.5
    assert rates == pytest.approx([0.3, 0.6, 0.6, 0.3 + 0.15 * root, 0.45, 0.3, 0.15, 0.3 - 0.15 * root], rel=1e-14)


def test_a_warm_up_may_last_as_long_as_the_training() -> None:
    config = TrainingConfig(epochs=2, lr=1.0, warmup_epochs=2, lr_schedule="cosine")
    assert [learning_rate(config, step, 2) for step in range(1, 5)] == [0.25, 0.5, 0.75, 1.0]


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="lr_schedule 'linear': expected 'step' or 'cosine'"):
        learning_rate(TrainingConfig(epochs=1, lr_schedule="linear"), 1, 1)


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


def test_momentum_without_nesterov_is_the_heavy_ball() -> None:
    theta, velocity = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for gradient in np.array(GRADIENTS):
        velocity = MOMENTUM * velocity + gradient + DECAY * theta
        theta = theta - LR * velocity
    config = TrainingConfig(epochs=1, lr=LR, momentum=MOMENTUM, nesterov=False, weight_decay=DECAY)
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


@pytest.mark.parametrize(("optimizer", "decoupled"), [("adam", False), ("adamw", True)])
def test_adams_decays_and_epsilon_are_those_given_and_adamw_decays_apart(optimizer: str, decoupled: bool) -> None:
    theta, first, second = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(np.array(GRADIENTS), start=1):
        if decoupled:  # Loshchilov and Hutter 2019, algorithm 2, with the decay scaled by the learning rate
            theta, slope = theta - LR * DECAY * theta, gradient
        else:
            slope = gradient + DECAY * theta
        first = 0.7 * first + 0.3 * slope
        second = 0.9 * second + 0.1 * slope**2
        theta = theta - LR * (first / (1 - 0.7**step)) / (np.sqrt(second / (1 - 0.9**step)) + 1e-2)
    config = TrainingConfig(
        epochs=1, optimizer=optimizer, lr=LR, beta1=0.7, beta2=0.9, epsilon=1e-2, weight_decay=DECAY
    )
    assert updated(config, GRADIENTS) == pytest.approx(theta.tolist(), rel=1e-12)


def test_rmsprop_is_hintons() -> None:
    theta, second = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for gradient in np.array(GRADIENTS):
        decayed = gradient + DECAY * theta
        second = 0.8 * second + 0.2 * decayed**2
        theta = theta - LR * decayed / (np.sqrt(second) + 1e-3)
    config = TrainingConfig(epochs=1, optimizer="rmsprop", lr=LR, rmsprop_alpha=0.8, epsilon=1e-3, weight_decay=DECAY)
    assert updated(config, GRADIENTS) == pytest.approx(theta.tolist(), rel=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_decay_on_weights_leaves_biases_and_batch_norm_alone(optimizer: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).double()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    config = TrainingConfig(epochs=1, optimizer=optimizer, lr=LR, weight_decay=DECAY, weight_decay_on="weights")
    steps = build_optimizer(model.parameters(), config)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    steps.step()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {"0.weight", "3.weight"}


def test_unknown_parameters_to_decay_are_refused() -> None:
    with pytest.raises(ValueError, match="weight_decay_on 'biases': expected 'all' or 'weights'"):
        build_optimizer([nn.Parameter(torch.zeros(1))], TrainingConfig(epochs=1, weight_decay_on="biases"))


def test_an_unknown_optimizer_is_refused_with_the_known_ones() -> None:
    config = TrainingConfig(epochs=1, optimizer="lion")
    with pytest.raises(ValueError, match="optimizer 'lion': expected one of sgd, momentum, adam, adamw, rmsprop"):
        build_optimizer([nn.Parameter(torch.zeros(1))], config)
