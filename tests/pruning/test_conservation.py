"""What is conserved, what is not, and how far SynFlow goes before a layer collapses."""

from __future__ import annotations

from decimal import Decimal

import pytest
import torch
from torch import Tensor, nn

from pruning.conservation import (
    collapsed_layers,
    conservation_error,
    critical_compression,
    cut_over_flow,
    layer_scores,
    maximal_compression,
    straight_pairs,
    unit_scores,
)
from pruning.criteria.synflow import SynFlow
from pruning.density import canonical_density
from pruning.masks import Masks, Scores, all_kept
from pruning.prunable import prunable_weights
from pruning.prune import Pruned, Round, prune
from pruning.schedules import exponential
from pruning.scoring import prune_at_once, score_network
from tests.pruning.networks import briefly_trained, build, prune_set

CONSERVED = 1e-10


class SmallVGG(nn.Module):
    """Eight convolutions in five stages and one linear classifier."""

    def __init__(self, batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for index, width in enumerate((8, 16, 16, 16, 32, 32, 32, 32)):
            layers += [nn.Conv2d(channels, width, 3, padding=1), *([nn.BatchNorm2d(width)] if batch_norm else [])]
            layers += [nn.ReLU(), *([nn.MaxPool2d(2)] if index in (0, 1, 3, 5) else [])]
            channels = width
        self.features = nn.Sequential(*layers, nn.AvgPool2d(2))
        self.classifier = nn.Linear(channels, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1))


def full_masks(model: nn.Module) -> Masks:
    return all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})


def synflow(model: nn.Module) -> Scores:
    return score_network(model, full_masks(model), SynFlow(), prune_set(), torch.Generator())


def small_vgg(batch_norm: bool = True) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SmallVGG(batch_norm)


def vgg_scores(model: nn.Module) -> Scores:
    data = prune_set()
    data = type(data)(inputs=torch.zeros(1, 3, 32, 32), targets=data.targets[:1])
    return score_network(model, full_masks(model), SynFlow(), data, torch.Generator())


@pytest.mark.parametrize("batch_norm", [True, False])
def test_score_into_a_unit_equals_score_out_of_it_on_a_straight_network(batch_norm: bool) -> None:
    model = small_vgg(batch_norm)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("bias", "running_mean")):
                tensor.normal_()
            elif name.endswith("running_var"):
                tensor.uniform_(0.1, 3)
    scores = vgg_scores(model)
    errors = conservation_error(scores, straight_pairs(scores))
    assert len(errors) == 8
    assert max(errors.values()) < CONSERVED


@pytest.mark.parametrize("network", ["mlp", "convnet"])
@pytest.mark.parametrize("trained", [False, True])
def test_score_is_conserved_on_trained_networks_too(network: str, trained: bool) -> None:
    model = build(network)
    scores = synflow(briefly_trained(model) if trained else model)
    assert max(conservation_error(scores, straight_pairs(scores)).values()) < CONSERVED


def test_magnitude_is_not_conserved() -> None:
    scores = {name: weight.detach().abs() for name, weight in prunable_weights(build("mlp")).items()}
    assert min(conservation_error(scores, straight_pairs(scores)).values()) > 0.1


def test_units_of_a_residual_network_are_fed_and_read_by_several_layers() -> None:
    scores = synflow(briefly_trained(build("residual")))
    into = unit_scores(scores["body.3.weight"], "into") + unit_scores(scores["shortcut.0.weight"], "into")
    torch.testing.assert_close(into, unit_scores(scores["classifier.weight"], "out of"), rtol=CONSERVED, atol=0)
    out_of = unit_scores(scores["body.0.weight"], "out of") + unit_scores(scores["shortcut.0.weight"], "out of")
    torch.testing.assert_close(out_of, unit_scores(scores["stem.0.weight"], "into"), rtol=CONSERVED, atol=0)


def test_a_layers_mean_score_is_inversely_proportional_to_its_size() -> None:
    layers = layer_scores(vgg_scores(small_vgg()))
    flow = layers[0].total
    assert [layer.total for layer in layers] == pytest.approx([flow] * 9, rel=CONSERVED)
    assert [layer.mean * layer.num_weights for layer in layers] == pytest.approx([flow] * 9, rel=CONSERVED)


def test_a_flattened_channel_is_read_at_several_positions() -> None:
    score = torch.arange(12.0).view(2, 6)
    assert unit_scores(score, "out of", 3).tolist() == [0 + 1 + 6 + 7, 2 + 3 + 8 + 9, 4 + 5 + 10 + 11]
    assert unit_scores(score, "into").tolist() == [15.0, 51.0]
    with pytest.raises(ValueError, match="a layer of 6 inputs does not read 4 units"):
        unit_scores(score, "out of", 4)
    with pytest.raises(ValueError, match="side 'in': expected 'into' or 'out of'"):
        unit_scores(score, "in")


def rounds(*pairs: tuple[float, float]) -> list[Round]:
    return [Round(round=1, density=0.5, kept=1, score_cut=cut, flow=flow) for cut, flow in pairs]


def test_cut_over_flow_by_hand() -> None:
    assert cut_over_flow(rounds((3.0, 6.0), (5.0, 2.0), (0.0, 0.0))) == [0.5, 2.5, 0.0]


def pruned(model: nn.Module, density: Decimal, num_rounds: int) -> Pruned:
    data = prune_set()
    data = type(data)(inputs=torch.zeros(1, 3, 32, 32), targets=data.targets[:1])
    return prune_at_once(model, SynFlow(), data, exponential(density, num_rounds), "global")


def test_no_layer_collapses_in_a_round_that_cuts_less_than_the_flow() -> None:
    model = small_vgg()
    for num_rounds in (1, 5, 50):
        result = pruned(model, Decimal("0.005"), num_rounds)
        largest = max(cut_over_flow(result.rounds))
        if largest < 1:
            assert not collapsed_layers(result.masks)
        assert (largest < 1) == (num_rounds == 50)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_synflow_with_enough_rounds_reaches_95_percent_of_maximal_compression(batch_norm: bool) -> None:
    model = small_vgg(batch_norm)
    target = 0.95 * maximal_compression(full_masks(model))
    density = canonical_density("compression_ratio", round(target, 3))
    assert collapsed_layers(pruned(model, density, 1).masks)
    assert any(not collapsed_layers(pruned(model, density, number).masks) for number in (10, 30, 100, 300, 1000))


def test_critical_compression_is_the_last_before_the_first_collapse() -> None:
    model = build("mlp")
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}

    def by_magnitude(density: Decimal) -> Masks:
        return prune(lambda masks, number: {n: w.abs() for n, w in weights.items()}, weights, density).masks

    assert maximal_compression(full_masks(model)) == 1730 / 3
    grid = [Decimal(1) / 2**power for power in range(9)]
    critical = critical_compression(by_magnitude, grid)
    assert not collapsed_layers(by_magnitude(1 / Decimal(critical)))
    assert collapsed_layers(by_magnitude(1 / Decimal(2 * critical)))
    assert critical_compression(by_magnitude, [Decimal("0.001")]) == 1.0


def test_collapsed_layers_are_named() -> None:
    masks = {"a.weight": torch.tensor([True]), "b.weight": torch.tensor([False, False])}
    assert collapsed_layers(masks) == ["b"]
