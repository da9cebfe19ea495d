"""ProsPr against its meta-gradient written out by hand, and against finite differences of whole trainings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.criteria.prospr import ProsPr
from pruning.criteria.snip import Snip
from pruning.masks import all_kept
from pruning.prunable import prunable_weights
from pruning.scoring import score_network
from tests.pruning.networks import NETWORKS, build, prune_set


def problem() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    weights = [rng.normal(size=(4, 3)), rng.normal(size=(5, 4)), rng.normal(size=(2, 5))]
    return weights, rng.normal(size=(6, 3)), rng.integers(2, size=6)


def loss_and_gradients(
    weights: list[np.ndarray], inputs: np.ndarray, targets: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """Cross-entropy of a three-layer linear network by the chain rule."""
    first, second, third = weights
    hidden1 = inputs @ first.T
    hidden2 = hidden1 @ second.T
    exponentials = np.exp(hidden2 @ third.T)
    shares = exponentials / exponentials.sum(1, keepdims=True)
    error = (shares - np.eye(third.shape[0])[targets]) / len(inputs)
    loss = -np.log(shares[np.arange(len(targets)), targets]).mean()
    return float(loss), [second.T @ third.T @ error.T @ inputs, third.T @ error.T @ hidden1, error.T @ hidden2]


def trained_loss(masks: list[np.ndarray], steps: int, lr: float, batch_size: int) -> float:
    """The loss after `steps` steps of gradient descent from m * theta."""
    weights, inputs, targets = problem()
    weights = [mask * weight for mask, weight in zip(masks, weights, strict=True)]
    starts = range(0, len(inputs), batch_size)
    batches = [(inputs[start : start + batch_size], targets[start : start + batch_size]) for start in starts]
    for step in range(steps):
        _, gradients = loss_and_gradients(weights, *batches[step % len(batches)])
        weights = [weight - lr * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    return loss_and_gradients(weights, *batches[steps % len(batches)])[0]


@pytest.mark.parametrize(("steps", "batch_size"), [(0, 6), (1, 6), (3, 6), (3, 2)])
def test_scores_are_slopes_of_the_trained_loss(steps: int, batch_size: int) -> None:
    weights, inputs, targets = problem()
    model = nn.Sequential(*(nn.Linear(w.shape[1], w.shape[0], bias=False) for w in weights)).double()
    with torch.no_grad():
        for layer, weight in zip(model, weights, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
    data = PruneSet(inputs=torch.from_numpy(inputs), targets=torch.from_numpy(targets), batch_size=batch_size)
    scores = list(ProsPr(steps=steps, lr=0.3).score(model, data, torch.Generator()).values())
    step = 1e-6
    for index, score in enumerate(scores):
        for place in np.ndindex(*score.shape):
            slope = 0.0
            for sign in (1, -1):
                masks = [np.ones_like(weight) for weight in weights]
                masks[index][place] += sign * step
                slope += sign * trained_loss(masks, steps, 0.3, batch_size) / (2 * step)
            assert float(score[place]) == pytest.approx(abs(slope), rel=1e-5, abs=1e-8)


def test_one_weight_and_one_step_by_hand() -> None:
    # Logits (w x, 0), x = 1, label 1: L = log(1 + e^w), L' = s(w), L'' = s (1 - s). From w = m theta one step gives
    # w1 = w - lr s(w); dL(w1)/dm = s(w1) (1 - lr s'(w)) theta.
    theta, lr = 2.0, 0.5
    layer = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[theta], [0.0]]))
    data = PruneSet(inputs=torch.ones(1, 1, dtype=torch.float64), targets=torch.tensor([1]))
    scores = ProsPr(steps=1, lr=lr).score(layer, data, torch.Generator())["weight"]
    # The other logit moves too: by +lr s(w), from 0. So the logits' difference is w1 = theta - 2 lr s.
    s = 1 / (1 + np.exp(-theta))
    after = theta - 2 * lr * s
    slope = 1 / (1 + np.exp(-after)) * (1 - 2 * lr * s * (1 - s)) * theta
    assert scores.flatten().tolist() == pytest.approx([slope, 0.0], rel=1e-13)


@pytest.mark.parametrize("network", NETWORKS)
def test_without_steps_it_is_snip(network: str) -> None:
    model = build(network)
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    prospr, snip = (
        score_network(model, masks, criterion, prune_set(), torch.Generator(), mode="train")
        for criterion in (ProsPr(steps=0), Snip())
    )
    for name in snip:
        torch.testing.assert_close(prospr[name], snip[name], rtol=1e-10, atol=1e-14)


def test_removed_weights_stay_zero_in_every_step() -> None:
    """With the last layer cut off nothing can be learnt, so all that is left is the bias: scores are zero."""
    model = build("mlp")
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    masks["classifier.weight"][:] = False
    scores = score_network(model, masks, ProsPr(), prune_set(), torch.Generator(), mode="train")
    assert scores["hidden.0.weight"].count_nonzero() == 0
    assert scores["hidden.1.weight"].count_nonzero() == 0


@pytest.mark.parametrize("options", [{"steps": -1}, {"steps": 1.5}, {"steps": True}, {"lr": 0.0}, {"lr": float("nan")}])
def test_unsound_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"prospr's (steps|lr) .*: expected"):
        ProsPr(**options)  # type: ignore[arg-type]
