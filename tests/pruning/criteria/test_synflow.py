"""SynFlow against its formula, and the conservation law of the paper (theorem 1) on trained networks too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.mlp import MLP
from pruning.criteria.contract import PruneSet
from pruning.criteria.synflow import SynFlow
from pruning.masks import Scores, all_kept
from pruning.prunable import prunable_weights
from pruning.scoring import score_network
from tests.pruning.networks import NETWORKS, briefly_trained, build, prune_set

CONSERVATION = 1e-10
"""Relative; float64 on networks of four layers."""


def synflow(model: nn.Module) -> Scores:
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    return score_network(model, masks, SynFlow(), prune_set(), torch.Generator(), dtype=torch.float64)


def test_a_three_layer_network_scores_by_the_closed_form() -> None:
    rng = np.random.default_rng(2)
    first, second, third = rng.normal(size=(4, 3)), rng.normal(size=(5, 4)), rng.normal(size=(2, 5))
    model = MLP(input_shape=(3, 1, 1), num_classes=2, widths=(4, 5)).double()
    with torch.no_grad():
        for layer, weight in zip([*model.hidden, model.classifier], [first, second, third], strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.fill_(-3.0)  # would close every ReLU if it were not ignored
    data = PruneSet(
        inputs=torch.full((4, 3, 1, 1), -7.0, dtype=torch.float64), targets=torch.zeros(4, dtype=torch.long)
    )
    scores = SynFlow().score(model, data, torch.Generator())
    first, second, third = np.abs(first), np.abs(second), np.abs(third)
    into_second, into_third = first.sum(1), second @ first.sum(1)
    out_of_second, out_of_first = third.sum(0), third.sum(0) @ second
    np.testing.assert_allclose(scores["hidden.0.weight"], first * out_of_first[:, None], rtol=1e-13)
    np.testing.assert_allclose(scores["hidden.1.weight"], second * np.outer(out_of_second, into_second), rtol=1e-13)
    np.testing.assert_allclose(scores["classifier.weight"], third * into_third, rtol=1e-13)


def test_three_weights_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).double()
    with torch.no_grad():
        model[0].weight.fill_(-2.0)
        model[2].weight.copy_(torch.tensor([[3.0], [-5.0]]))
    data = PruneSet(inputs=torch.zeros(1, 1, dtype=torch.float64), targets=torch.zeros(1, dtype=torch.long))
    scores = SynFlow().score(model, data, torch.Generator())
    assert scores["0.weight"].tolist() == [[16.0]]
    assert scores["2.weight"].tolist() == [[6.0], [10.0]]


HIDDEN = {
    "mlp": [("hidden.0", "hidden.1"), ("hidden.1", "classifier")],
    "convnet": [("features.0", "features.4"), ("features.4", "features.7"), ("features.7", "classifier")],
    "grouped": [("features.4", "classifier")],
}
"""Pairs of layers with nothing but element-wise maps, normalisation and pooling between them."""


def assert_conserved(network: str, model: nn.Module) -> None:
    scores = synflow(model)
    for before, after in HIDDEN[network]:
        score_in = scores[f"{before}.weight"].flatten(1).sum(1)
        score_out = scores[f"{after}.weight"].transpose(0, 1).flatten(1).sum(1)
        assert (score_in > 0).all()
        torch.testing.assert_close(score_in, score_out, rtol=CONSERVATION, atol=0.0)


@pytest.mark.parametrize("network", HIDDEN)
def test_score_into_every_hidden_unit_equals_score_out_of_it(network: str) -> None:
    assert_conserved(network, build(network))


@pytest.mark.parametrize("network", HIDDEN)
def test_score_is_conserved_on_a_trained_network(network: str) -> None:
    model = briefly_trained(build(network))
    biases = [parameter for name, parameter in model.named_parameters() if name.endswith("bias")]
    assert all(bool(bias.count_nonzero()) for bias in biases)
    if network == "convnet":
        assert bool((model.features[1].running_mean != 0).all())
        assert bool((model.features[1].running_var != 1).all())
    with torch.no_grad():  # what abs() of the whole state dict would turn into sources
        for bias in biases:
            bias.sub_(1.0)
    assert_conserved(network, model)


@pytest.mark.parametrize("network", ["mlp", "convnet", "residual"])
def test_every_cut_between_input_and_output_carries_the_whole_flow(network: str) -> None:
    totals = {name: float(scores.sum()) for name, scores in synflow(briefly_trained(build(network))).items()}
    if network == "residual":
        # Two parallel paths share the flow between the stem and the classifier.
        totals = {
            "stem": totals["stem.0.weight"],
            "body, first, and shortcut": totals["body.0.weight"] + totals["shortcut.0.weight"],
            "body, last, and shortcut": totals["body.3.weight"] + totals["shortcut.0.weight"],
            "classifier": totals["classifier.weight"],
        }
    expected = next(iter(totals.values()))
    assert list(totals.values()) == pytest.approx([expected] * len(totals), rel=CONSERVATION)


@pytest.mark.parametrize("network", NETWORKS)
def test_data_and_labels_do_not_matter(network: str) -> None:
    def score(inputs: Tensor, targets: Tensor) -> Scores:
        return SynFlow().score(build(network), PruneSet(inputs=inputs, targets=targets), torch.Generator())

    data = prune_set()
    first, second = score(data.inputs, data.targets), score(-5 * data.inputs, 9 - data.targets)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_flow_beyond_float32_gets_float32_scores_up_to_a_power_of_two() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), *(nn.Linear(64, 64) for _ in range(9)))
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.fill_(1e4)
        model[3].weight[5, 6] = 2e4
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    single = score_network(model, masks, SynFlow(), prune_set(), torch.Generator(), dtype=torch.float32)
    double = synflow(model)
    assert float(double["3.weight"][0, 0]) == pytest.approx(64.0**9 * 1e4**10, rel=1e-3)
    ratio = double["3.weight"][0, 0] / single["3.weight"][0, 0].double()
    for name, scores in double.items():
        torch.testing.assert_close(single[name].double() * ratio, scores, rtol=1e-5, atol=0)
    assert float(torch.log2(ratio)) == pytest.approx(round(float(torch.log2(ratio))), abs=1e-5)
