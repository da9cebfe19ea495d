"""The fast loop against the straightforward one: same masks, same record of each round."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from benchmarks.straightforward import prune_round_by_round
from pruning.connectivity import connectivity
from pruning.criteria.contract import Criterion, PruneSet, prunes_at_once
from pruning.criteria.synflow import SynFlow
from pruning.criteria.synflow_l2 import SynFlowL2
from pruning.density import kept_count
from pruning.flow_rounds import prune_by_flow
from pruning.linear_view import to_linear_view
from pruning.masks import Masks, Scores, count_kept
from pruning.prunable import prunable_weights
from pruning.prune import Pruned, prune
from pruning.schedules import densities_by_round, exponential
from pruning.scoring import prune_at_once, score_network
from tests.pruning.networks import INPUT_SHAPE, NETWORKS, briefly_trained, build, prune_set


def fast(model: nn.Module, densities: Sequence[Decimal], scope: str = "global") -> Pruned:
    view = copy.deepcopy(model).double()
    to_linear_view(view)
    return prune_by_flow(view, torch.ones(1, *INPUT_SHAPE, dtype=torch.float64), densities, scope)


def slow(
    model: nn.Module,
    density: str,
    num_rounds: int,
    scope: str = "global",
    criterion: Criterion | None = None,
    schedule: str = "exponential",
) -> Pruned:
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    return prune(
        lambda masks, number: score_network(model, masks, criterion or SynFlow(), prune_set(), torch.Generator()),
        weights,
        Decimal(density),
        num_rounds=num_rounds,
        scope=scope,
        schedule=schedule,
    )


def on_live_paths(model: nn.Module, masks: Masks) -> Masks:
    return connectivity(model, masks, INPUT_SHAPE).live


class Concatenating(nn.Module):
    """Max-pooling over two branches that are concatenated, of which one has no path once its entry is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.left, self.right = nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(8, 6, 1)
        self.norm = nn.BatchNorm2d(18)
        self.last = nn.Conv2d(18, 16, 3, stride=2, padding=1)
        self.classifier = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.max_pool2d(torch.relu(self.stem(images)), 2)
        both = torch.relu(self.norm(torch.cat([self.left(features), self.right(features)], 1)))
        return self.classifier(self.last(both).amax((2, 3)))


class Awkward(nn.Module):
    """What a layer cannot simply be swapped for: shared, called twice, read directly, grouped, unused, with a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, padding=1)
        self.twice = nn.Conv2d(12, 12, 3, padding=1)
        self.first, self.tied = nn.Conv2d(12, 12, 1), nn.Conv2d(12, 12, 1)
        self.tied.weight = self.first.weight
        self.read = nn.Linear(12, 12)
        self.depthwise = nn.Conv2d(12, 12, 3, groups=12)
        self.alias = self.twice
        self.hooked = nn.Linear(12, 12)
        self.hooked.register_forward_hook(lambda module, inputs, output: output * module.weight.sum())
        self.unused = nn.Linear(12, 12)
        self.reflecting = nn.Conv2d(12, 12, 3, padding=1, padding_mode="reflect", bias=False)
        self.classifier = nn.Linear(12, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.twice(torch.relu(self.stem(images)))
        features = features + self.alias(features)
        features = self.reflecting(self.depthwise(self.tied(self.first(features))))
        pooled = nn.functional.linear(features.mean((2, 3)), self.read.weight)
        return self.classifier(self.hooked(pooled))


MODELS: dict[str, Callable[[], nn.Module]] = {
    **{name: partial(build, name) for name in NETWORKS},
    "trained": lambda: briefly_trained(build("convnet")),
    "awkward": Awkward,
    "concatenating": Concatenating,
}


@pytest.mark.parametrize("criterion", [SynFlow(), SynFlowL2()], ids=["l1", "l2"])
@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("network", MODELS)
def test_masks_and_rounds_are_those_of_scoring_round_by_round(
    network: str, scope: str, criterion: SynFlow | SynFlowL2
) -> None:
    torch.manual_seed(1)
    model = MODELS[network]()
    for density, num_rounds, schedule in [
        ("0.5", 1, "exponential"),
        ("0.2", 7, "linear"),
        ("0.05", 3, "0.9,0.3"),
        ("0.04", 30, "exponential"),
    ]:
        densities = densities_by_round(schedule, Decimal(density), num_rounds)
        mine = prune_at_once(model, criterion, prune_set(), densities, scope)
        theirs = slow(model, density, num_rounds, scope, criterion, schedule)
        live, expected = on_live_paths(model, mine.masks), on_live_paths(model, theirs.masks)
        assert [name for name in live if not torch.equal(live[name], expected[name])] == []
        for round_of_mine, round_of_theirs in zip(mine.rounds, theirs.rounds, strict=True):
            assert round_of_mine.kept == round_of_theirs.kept
            assert round_of_mine.density == round_of_theirs.density
            assert round_of_mine.collapsed_layers == round_of_theirs.collapsed_layers
            assert round_of_mine.layer_scores == pytest.approx(round_of_theirs.layer_scores, rel=1e-9)
            assert round_of_mine.flow == pytest.approx(round_of_theirs.flow, rel=1e-9)
            assert round_of_mine.score_cut == pytest.approx(round_of_theirs.score_cut, rel=1e-9)
        for name, scores in theirs.scores.items():
            torch.testing.assert_close(mine.scores[name], scores, rtol=1e-9, atol=0)


def test_the_loop_of_the_benchmark_gives_the_same_masks() -> None:
    model = build("convnet")
    densities = exponential(Decimal("0.05"), 20)
    theirs = prune_round_by_round(model, torch.ones(1, *INPUT_SHAPE), densities)
    mine = fast(model, densities).masks
    assert all(torch.equal(mine[name], mask) for name, mask in theirs.items())


def test_layers_shrink_where_that_is_possible() -> None:
    torch.manual_seed(1)
    model = Awkward()
    to_linear_view(model.double())
    prune_by_flow(model, torch.ones(1, *INPUT_SHAPE, dtype=torch.float64), exponential(Decimal("0.04"), 20))
    shrunk = {name for name, module in model.named_modules() if type(module).__name__ == "CompactLayer"}
    assert shrunk == {"stem", "twice", "classifier"}
    assert model.alias is model.twice
    assert model.twice.layer.weight.numel() < 12 * 12 * 9


@pytest.mark.parametrize("network", MODELS)
def test_masks_do_not_depend_on_the_memory_layout_or_the_number_of_threads(network: str) -> None:
    torch.manual_seed(1)
    model = MODELS[network]()
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    densities, threads = exponential(Decimal("0.04"), 20), torch.get_num_threads()
    first = fast(model, densities)
    try:
        torch.set_num_threads(2)
        second = fast(other, densities)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(second.masks[name], mask) for name, mask in first.masks.items())


def test_a_layer_that_collapses_between_rounds_is_pruned_as_round_by_round() -> None:
    torch.manual_seed(0)
    model = build("bypassed")
    with torch.no_grad():
        model.branch[0].weight.mul_(0.1)
        model.branch[2].weight.mul_(0.1)
    collapsed: list[int] = []
    for num_rounds in range(1, 12):
        densities = exponential(Decimal("0.02"), 12)[:num_rounds]
        mine = fast(model, densities)
        theirs = prune_round_by_round(model, torch.ones(1, *INPUT_SHAPE), densities)
        live, expected = on_live_paths(model, mine.masks), on_live_paths(model, theirs)
        assert all(torch.equal(live[name], mask) for name, mask in expected.items())
        collapsed.append(sum(not mask.any() for mask in mine.masks.values()))
    assert collapsed[0] == 0 < collapsed[-1]


def test_a_network_whose_weights_are_all_equal_still_gets_exact_counts() -> None:
    model = build("residual")
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.fill_(0.25)
    densities = exponential(Decimal("0.02"), 9)
    total = sum(weight.numel() for weight in prunable_weights(model).values())
    pruned = fast(model, densities)
    assert [done.kept for done in pruned.rounds] == [kept_count(density, total) for density in densities]
    assert count_kept(pruned.masks) == pruned.rounds[-1].kept


def test_a_collapsed_network_is_pruned_to_the_exact_count_too() -> None:
    model = build("mlp")
    with torch.no_grad():
        model.classifier.weight.zero_()  # every score is zero
    pruned, expected = fast(model, [Decimal("0.5"), Decimal("0.1")]), slow(model, "0.1", 1)
    assert pruned.rounds[-1].kept == expected.rounds[-1].kept
    assert [r.flow for r in pruned.rounds] == [0.0, 0.0]
    assert [r.layer_deviation for r in pruned.rounds] == [None, None]


def test_weights_that_are_not_finite_are_refused_with_the_layers_name() -> None:
    model = build("mlp")
    with torch.no_grad():
        model.hidden[0].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"not finite for \d+ of 1280 weights of hidden\.0\.weight"):
        fast(model, [Decimal("0.5")])


@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_density_that_keeps_no_weight_is_refused_before_any_work(scope: str) -> None:
    with pytest.raises(ValueError, match=r"density 0\.0001 of 1730 prunable weights leaves none"):
        fast(build("mlp"), [Decimal("0.5"), Decimal("0.0001")], scope)


def test_an_unknown_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="scope 'layer': expected 'global' or 'local'"):
        fast(build("mlp"), [Decimal("0.5")], "layer")


class Deep(nn.Module):
    """Flow beyond float64 at first; after pruning within it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), *(nn.Linear(12, 12) for _ in range(120)))
        with torch.no_grad():
            for weight in prunable_weights(self).values():
                weight.normal_(0, 100.0)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def test_deep_networks_are_pruned_as_round_by_round() -> None:
    torch.manual_seed(0)
    model = Deep()
    mine, theirs = fast(model, exponential(Decimal("0.1"), 10)), slow(model, "0.1", 10)
    assert all(torch.equal(mine.masks[name], theirs.masks[name]) for name in theirs.masks)
    assert all(math.isfinite(done.flow) for done in mine.rounds)
    for one, other in zip(mine.rounds, theirs.rounds, strict=True):
        assert one.score_cut / one.flow == pytest.approx(other.score_cut / other.flow, rel=1e-9)


def test_pruning_at_once_leaves_the_network_alone() -> None:
    model = build("convnet")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert prunes_at_once(SynFlow())
    densities = exponential(Decimal("0.1"), 5)
    pruned = prune_at_once(model, SynFlow(), prune_set(), densities, "global")
    expected = slow(model, "0.1", 5)
    assert all(torch.equal(pruned.masks[name], mask) for name, mask in expected.masks.items())
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_score_of_ones_own_is_not_pruned_by_an_inherited_loop() -> None:
    class Mine(SynFlow):
        def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
            return {name: -scores for name, scores in super().score(model, data, generator).items()}

    assert not prunes_at_once(Mine())
    assert prunes_at_once(type("Renamed", (SynFlow,), {})())
