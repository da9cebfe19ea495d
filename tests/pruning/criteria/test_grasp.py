"""GraSP against an explicit Hessian, and its sign against finite differences of a hand-written gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning.criteria.contract import PruneSet
from pruning.criteria.grasp import Grasp
from tests.pruning.networks import NETWORKS, build, prune_set

SIZES = (3, 4, 3, 2)
TEMPERATURE = 2.0


def problem() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=(out, into)) for into, out in itertools.pairwise(SIZES)]
    return weights, rng.normal(size=(6, SIZES[0])), rng.integers(SIZES[-1], size=6)


def scores(batch_size: int = 256) -> np.ndarray:
    """GraSP's scores of a three-layer linear network, flat."""
    weights, inputs, targets = problem()
    model = nn.Sequential(*(nn.Linear(w.shape[1], w.shape[0], bias=False) for w in weights)).double()
    with torch.no_grad():
        for layer, weight in zip(model, weights, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
    data = PruneSet(inputs=torch.from_numpy(inputs), targets=torch.from_numpy(targets), batch_size=batch_size)
    by_name = Grasp(temperature=TEMPERATURE).score(model, data, torch.Generator())
    return torch.cat([score.flatten() for score in by_name.values()]).numpy()


def unflattened(flat: np.ndarray) -> list[np.ndarray]:
    weights, *_ = problem()
    ends = np.cumsum([w.size for w in weights])[:-1]
    return [part.reshape(w.shape) for part, w in zip(np.split(flat, ends), weights, strict=True)]


def squared_gradient_norm(flat: np.ndarray) -> float:
    """|dL/dtheta|^2 by the chain rule, written out for three linear layers."""
    first, second, third = unflattened(flat)
    _, inputs, targets = problem()
    hidden1 = inputs @ first.T
    hidden2 = hidden1 @ second.T
    logits = hidden2 @ third.T / TEMPERATURE
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    error = (exponentials / exponentials.sum(1, keepdims=True) - np.eye(SIZES[-1])[targets]) / len(inputs) / TEMPERATURE
    gradients = [second.T @ third.T @ error.T @ inputs, third.T @ error.T @ hidden1, error.T @ hidden2]
    return float(sum((gradient**2).sum() for gradient in gradients))


def test_shrinking_a_weight_changes_the_squared_gradient_norm_by_minus_twice_the_score() -> None:
    theta = np.concatenate([weight.ravel() for weight in problem()[0]])
    step = 1e-5
    slopes = []
    for index in range(theta.size):
        shrunk, grown = theta.copy(), theta.copy()
        shrunk[index] *= 1 - step
        grown[index] *= 1 + step
        slopes.append((squared_gradient_norm(shrunk) - squared_gradient_norm(grown)) / (2 * step))
    actual = scores()
    np.testing.assert_allclose(slopes, -2 * actual, rtol=1e-6, atol=1e-9)
    assert (actual > 1e-4).any()
    assert (actual < -1e-4).any()


def test_a_three_layer_network_scores_by_its_explicit_hessian() -> None:
    _, inputs, targets = problem()
    theta = torch.from_numpy(np.concatenate([weight.ravel() for weight in problem()[0]]))

    def loss(flat: Tensor) -> Tensor:
        first, second, third = (
            part.view(out, into)
            for part, into, out in zip(
                flat.split([a * b for a, b in itertools.pairwise(SIZES)]), SIZES, SIZES[1:], strict=False
            )
        )
        logits = torch.from_numpy(inputs) @ first.T @ second.T @ third.T / TEMPERATURE
        return F.cross_entropy(logits, torch.from_numpy(targets))

    hessian = torch.autograd.functional.hessian(loss, theta)
    gradient = torch.autograd.functional.jacobian(loss, theta)
    expected = theta * (hessian @ gradient)
    np.testing.assert_allclose(scores(), expected.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("batch_size", [1, 4, 5])
def test_scores_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    np.testing.assert_allclose(scores(batch_size), scores(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("network", NETWORKS)
def test_scores_of_every_network_do_not_depend_on_the_batch_size(network: str) -> None:
    def score(size: int) -> list[Tensor]:
        data = prune_set(20, size)
        data = PruneSet(inputs=data.inputs.double(), targets=data.targets, batch_size=size)
        return list(Grasp().score(build(network).double().eval(), data, torch.Generator()).values())

    for whole, parts in zip(score(256), score(7), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-8, atol=1e-8 * float(whole.abs().max()))


def test_a_layer_that_the_forward_pass_does_not_use_scores_zero() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.unused = nn.Linear(64, 10), nn.Linear(64, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.flatten(1))

    result = Grasp().score(Auxiliary(), prune_set(), torch.Generator())
    assert result["unused.weight"].count_nonzero() == 0
    assert result["head.weight"].count_nonzero() > 0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=rf"temperature {temperature}: expected a positive number"):
        Grasp(temperature=temperature)
