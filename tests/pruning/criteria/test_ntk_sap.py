"""NTK-SAP against its gradient written out by hand for linear networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pruning.criteria.contract import PruneSet
from pruning.criteria.ntk_sap import NtkSap, response_gradients
from pruning.masks import all_kept
from pruning.prunable import prunable_weights
from pruning.scoring import score_network
from tests.pruning.networks import build, prune_set


def test_a_three_layer_linear_network_scores_by_the_closed_form() -> None:
    """J = sum_x |C B A x - C' B' A' x|^2 with each factor m * theta: product rule, term by term."""
    rng = np.random.default_rng(5)
    shapes = [(4, 3), (5, 4), (2, 5)]
    theta = [rng.normal(size=shape) for shape in shapes]
    changed = [weight + 0.1 * rng.normal(size=weight.shape) for weight in theta]
    masks = [(rng.random(shape) < 0.7).astype(float) for shape in shapes]
    inputs = rng.normal(size=(6, 3))
    (a, b, c), (d, e, f) = (
        [mask * weight for mask, weight in zip(masks, version, strict=True)] for version in (theta, changed)
    )
    error = 2 * (inputs @ (c @ b @ a - f @ e @ d).T)
    expected = [
        (c @ b).T @ error.T @ inputs * theta[0] - (f @ e).T @ error.T @ inputs * changed[0],
        c.T @ error.T @ inputs @ a.T * theta[1] - f.T @ error.T @ inputs @ d.T * changed[1],
        error.T @ inputs @ (b @ a).T * theta[2] - error.T @ inputs @ (e @ d).T * changed[2],
    ]
    model = nn.Sequential(*(nn.Linear(into, out, bias=False) for out, into in shapes)).double()

    def named(arrays: list[np.ndarray]) -> dict[str, torch.Tensor]:
        return {f"{index}.weight": torch.from_numpy(array) for index, array in enumerate(arrays)}

    actual = response_gradients(model, torch.from_numpy(inputs), named(theta), named(changed), named(masks))
    for gradient, by_hand in zip(actual.values(), expected, strict=True):
        np.testing.assert_allclose(gradient.numpy(), by_hand, rtol=1e-11, atol=1e-12)


def test_one_weight_by_hand() -> None:
    """f = m theta x: J = (m eps eta x)^2, so dJ/dm = 2 (eps eta x)^2 at m = 1, for each draw of eta and x."""
    layer = nn.Linear(1, 1, bias=False).double()
    data = PruneSet(inputs=torch.zeros(1, 1, dtype=torch.float64), targets=torch.zeros(1, dtype=torch.long))
    score = float(NtkSap(eps=0.5, passes=3).score(layer, data, torch.Generator().manual_seed(3))["weight"])
    source = torch.Generator().manual_seed(3)
    expected = 0.0
    for _ in range(3):
        torch.randperm(1, generator=source)
        eta, x = (torch.randn(1, 1, generator=source, dtype=torch.float64) for _ in range(2))
        expected += 2 * (0.5 * float(eta) * float(x)) ** 2
    assert score == pytest.approx(expected, rel=1e-12)


def test_images_and_labels_do_not_matter_their_number_does() -> None:
    model = build("convnet")
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})

    def score(data: PruneSet) -> torch.Tensor:
        source = torch.Generator().manual_seed(0)
        return score_network(model, masks, NtkSap(), data, source, mode="train")["classifier.weight"]

    data = prune_set()
    other = PruneSet(inputs=-3 * data.inputs, targets=9 - data.targets)
    assert torch.equal(score(data), score(other))
    assert not torch.equal(score(data), score(prune_set(10)))


def test_weights_are_drawn_anew_from_the_layers_law_whatever_the_mask() -> None:
    """Removed weights take part in the drawing: only their places stay empty."""
    model = build("mlp")
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    masks["hidden.0.weight"][:, 1:] = False
    with torch.no_grad():
        model.hidden[0].weight[:, 0] = 0.0  # zero in the one place that is kept
    scores = score_network(model, masks, NtkSap(), prune_set(), torch.Generator().manual_seed(0), mode="train")
    assert (scores["hidden.0.weight"][:, 0] > 0).all()
    assert (scores["hidden.0.weight"][:, 1:] >= 0).all()


def test_in_train_mode_both_networks_share_the_first_ones_statistics() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2, eps=1e-12, affine=False)).double()
    inputs = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]], dtype=torch.float64)
    weights = {"0.weight": torch.eye(2, dtype=torch.float64)}
    changed = {"0.weight": 3 * torch.eye(2, dtype=torch.float64)}
    masks = {"0.weight": torch.ones(2, 2, dtype=torch.float64)}
    gradients = response_gradients(model.train(), inputs, weights, changed, masks)["0.weight"]
    # Unbiased variances 2/3 and 8/3; J = sum (m x - 3 m x)^2 / var, so dJ/dm = 8 sum x^2 / var = 8 x 3 on the diagonal.
    # Normalised by its own statistics the changed network would give 0.
    torch.testing.assert_close(gradients, 24 * torch.eye(2, dtype=torch.float64))
    assert model.training


@pytest.mark.parametrize("options", [{"eps": 0.0}, {"eps": -1.0}, {"passes": 0}, {"passes": 2.5}, {"passes": True}])
def test_unsound_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"ntk_sap's (eps|passes) .*: expected"):
        NtkSap(**options)  # type: ignore[arg-type]
