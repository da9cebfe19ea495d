"""What is conserved, what is not, and how far SynFlow goes before a layer collapses."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from models.cifar_resnet import resnet20
from models.mobilenet import mobilenet_v2
from models.wrn import wrn16_4
from pruning.conservation import (
    collapsed_layers,
    critical_compression,
    cut_over_flow,
    group_scores,
    layer_scores,
    maximal_compression,
    slot_scores,
    unit_flows,
    unit_scores,
)
from pruning.criteria.contract import PruneSet
from pruning.criteria.synflow import SynFlow
from pruning.density import canonical_density
from pruning.masks import Masks, Scores, all_kept
from pruning.prunable import prunable_weights
from pruning.prune import Pruned, Round, prune
from pruning.schedules import exponential
from pruning.scoring import prune_at_once, score_network
from pruning.unit_groups import UnitGroups, unit_groups
from tests.pruning.networks import INPUT_SHAPE, NETWORKS, briefly_trained, build, prune_set

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


VGG_SHAPE = (3, 32, 32)


class Concatenating(nn.Module):
    """Two branches, one of them grouped, side by side before a convolution and, flattened, before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 6, 5, padding=2)
        self.norm = nn.BatchNorm2d(10)
        self.grouped = nn.Conv2d(10, 4, 3, stride=2, padding=1, groups=2)
        self.classifier = nn.Linear(4 * 16 + 10, 10)

    def forward(self, images: Tensor) -> Tensor:
        both = torch.relu(self.norm(torch.cat([self.left(images), self.right(images)], 1)))
        return self.classifier(torch.cat([torch.relu(self.grouped(both)).flatten(1), both.mean((2, 3))], 1))


ARCHITECTURES = NETWORKS | {"concatenating": Concatenating}


def build_architecture(name: str) -> nn.Module:
    torch.manual_seed(0)
    return ARCHITECTURES[name]()


def errors_of(scores: Scores, groups: UnitGroups) -> dict[str, float | None]:
    """Of each scored weight the largest relative difference over its units."""
    flows = unit_flows(scores, groups)
    return {name: flows[name].largest_error() if name in flows else None for name in scores}


def largest_error(scores: Scores, groups: UnitGroups, num_layers: int) -> float:
    """Over the `num_layers` layers for which it is known: all but the last."""
    *errors, last = errors_of(scores, groups).values()
    assert last is None
    known = [error for error in errors if error is not None]
    assert len(known) == len(errors) == num_layers
    return max(known)


def with_statistics_and_offsets(model: nn.Module) -> nn.Module:
    """As after training: biases, running means and variances are none of their initial values."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("bias", "running_mean")):
                tensor.normal_()
            elif name.endswith("running_var"):
                tensor.uniform_(0.1, 3)
    return model


def chain(first: list[list[float]], second: list[list[float]]) -> tuple[nn.Module, Scores]:
    """Two linear layers and their SynFlow scores."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, len(second)))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(first))
        model[2].weight.copy_(torch.tensor(second))
    data = PruneSet(inputs=torch.zeros(1, 2), targets=torch.zeros(1, dtype=torch.int64))
    return model, score_network(model, full_masks(model), SynFlow(), data, torch.Generator())


def test_two_layers_by_hand() -> None:
    # R = 5 (1 + 2) + 6 (3 + 4) = 57, of which 15 passes the first unit and 42 the second.
    model, scores = chain([[1.0, -2.0], [-3.0, 4.0]], [[-5.0, 6.0]])
    assert {name: score.tolist() for name, score in scores.items()} == {
        "0.weight": [[5.0, 10.0], [18.0, 24.0]],
        "2.weight": [[15.0, 42.0]],
    }
    groups = unit_groups(model, (2,))
    into, out_of = group_scores(scores, groups)
    assert into[groups.is_closed].tolist() == out_of[groups.is_closed].tolist() == [15.0, 42.0]
    assert errors_of(scores, groups) == {"0.weight": 0.0, "2.weight": None}
    (flow,) = unit_flows(scores, groups).values()
    assert (flow.into.tolist(), flow.out_of.tolist()) == ([15.0, 42.0], [15.0, 42.0])
    half_lost = scores | {"2.weight": torch.tensor([[15.0, 21.0]])}
    assert errors_of(half_lost, groups) == {"0.weight": 0.5, "2.weight": None}
    doubled = scores | {"2.weight": torch.tensor([[60.0, 42.0]])}
    assert errors_of(doubled, groups) == {"0.weight": 0.75, "2.weight": None}


def test_what_enters_a_unit_and_leaves_by_none_is_lost_wholly_and_a_unit_without_score_decides_nothing() -> None:
    model, scores = chain([[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0]])
    assert errors_of(scores, unit_groups(model, (2,))) == {"0.weight": 0.0, "2.weight": None}
    nothing = {name: torch.zeros_like(score) for name, score in scores.items()}
    assert errors_of(nothing, unit_groups(model, (2,))) == {"0.weight": None, "2.weight": None}
    not_finite = {name: torch.full_like(score, torch.nan) for name, score in scores.items()}
    assert errors_of(not_finite, unit_groups(model, (2,))) == {"0.weight": None, "2.weight": None}
    magnitudes = {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
    assert errors_of(magnitudes, unit_groups(model, (2,))) == {"0.weight": 1.0, "2.weight": None}


def test_units_read_by_a_weight_without_a_score_are_not_compared() -> None:
    model, scores = chain([[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0]])
    groups = unit_groups(model, (2,))
    assert errors_of({"0.weight": scores["0.weight"]}, groups) == {"0.weight": None}
    of_another_kind = {"norm.weight": torch.ones(2)}
    assert errors_of(scores | of_another_kind, groups)["norm.weight"] is None


@pytest.mark.parametrize("batch_norm", [True, False])
def test_score_into_a_unit_equals_score_out_of_it_on_a_straight_network(batch_norm: bool) -> None:
    model = with_statistics_and_offsets(small_vgg(batch_norm))
    assert largest_error(vgg_scores(model), unit_groups(model, VGG_SHAPE), 8) < CONSERVED


@pytest.mark.parametrize("network", ARCHITECTURES)
@pytest.mark.parametrize("trained", [False, True])
def test_score_is_conserved_in_every_architecture_also_when_trained(network: str, trained: bool) -> None:
    """Straight, residual, grouped, bypassed, concatenating; linear after flattening and after the mean."""
    model = build_architecture(network)
    if trained:
        briefly_trained(model)
    num_hidden = len(prunable_weights(model)) - 1
    assert largest_error(synflow(model), unit_groups(model, INPUT_SHAPE), num_hidden) < CONSERVED


@pytest.mark.parametrize(
    "factory",
    [resnet20, partial(resnet20, shortcut="padding"), wrn16_4, mobilenet_v2],
    ids=["resnet20", "padded shortcuts", "pre-activation", "inverted residuals"],
)
@pytest.mark.parametrize("trained", [False, True])
def test_score_is_conserved_in_shipped_residual_networks(factory: Callable[..., nn.Module], trained: bool) -> None:
    model = factory(input_shape=VGG_SHAPE, num_classes=10)
    if trained:
        with_statistics_and_offsets(model)
    num_hidden = len(prunable_weights(model)) - 1
    assert largest_error(vgg_scores(model), unit_groups(model, VGG_SHAPE), num_hidden) < CONSERVED


@pytest.mark.parametrize("name", ["densenet121", "shufflenet_v2_x0_5"])
def test_score_is_conserved_where_channels_are_concatenated_and_shuffled(name: str) -> None:
    zoo = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    model = with_statistics_and_offsets(zoo.get_model(name, weights=None, num_classes=10))
    num_hidden = len(prunable_weights(model)) - 1
    assert largest_error(vgg_scores(model), unit_groups(model, VGG_SHAPE), num_hidden) < CONSERVED


def test_score_is_conserved_under_a_mask() -> None:
    model = build("residual")
    masks = prune_at_once(model, SynFlow(), prune_set(), exponential(Decimal("0.1"), 10), "global").masks
    scores = score_network(model, masks, SynFlow(), prune_set(), torch.Generator())
    assert largest_error(scores, unit_groups(model, INPUT_SHAPE), 4) < CONSERVED


@pytest.mark.parametrize("network", NETWORKS)
def test_magnitude_is_not_conserved(network: str) -> None:
    model = build(network)
    scores = {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
    *errors, _ = errors_of(scores, unit_groups(model, INPUT_SHAPE)).values()
    assert all(error is not None and error > 0.1 for error in errors)


def test_units_of_a_residual_network_are_fed_and_read_by_several_layers() -> None:
    scores = synflow(briefly_trained(build("residual")))
    into = unit_scores(scores["body.3.weight"]) + unit_scores(scores["shortcut.0.weight"])
    torch.testing.assert_close(into, slot_scores(scores["classifier.weight"], 8), rtol=CONSERVED, atol=0)
    out_of = slot_scores(scores["body.0.weight"], 6) + slot_scores(scores["shortcut.0.weight"], 6)
    torch.testing.assert_close(out_of, unit_scores(scores["stem.0.weight"]), rtol=CONSERVED, atol=0)


def test_a_layers_mean_score_is_inversely_proportional_to_its_size() -> None:
    layers = layer_scores(vgg_scores(small_vgg()))
    flow = layers[0].total
    assert [layer.total for layer in layers] == pytest.approx([flow] * 9, rel=CONSERVED)
    assert [layer.mean * layer.num_weights for layer in layers] == pytest.approx([flow] * 9, rel=CONSERVED)


def test_a_unit_is_a_row_and_a_slot_a_column_of_its_block() -> None:
    score = torch.arange(12.0).view(4, 3)
    assert unit_scores(score).tolist() == [3.0, 12.0, 21.0, 30.0]
    assert slot_scores(score, 3).tolist() == [18.0, 22.0, 26.0]
    assert slot_scores(score, 6).tolist() == [3.0, 5.0, 7.0, 15.0, 17.0, 19.0]  # two groups of two outputs
    assert slot_scores(score.view(4, 1, 3), 2).tolist() == [15.0, 51.0]  # three taps
    with pytest.raises(ValueError, match="a weight of 3 inputs does not read 4 slots"):
        slot_scores(score, 4)


def rounds(*pairs: tuple[float, float]) -> list[Round]:
    return [
        Round.of(1, num_weights=2, num_kept=1, layer_kept=[1], layer_scores=[flow], score_cut=cut)
        for cut, flow in pairs
    ]


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
