"""PHEW: walks follow their law, and what they leave lies on paths from input to output."""

from __future__ import annotations

from decimal import Decimal

import pytest
import torch
from torch import Tensor, nn

from pruning.connectivity import connectivity
from pruning.criteria.contract import PruneSet
from pruning.criteria.phew import Phew, _first_occurrences, _Network
from pruning.masks import all_kept
from pruning.prunable import prunable_weights
from pruning.scopes import keep_highest
from pruning.scoring import score_network
from pruning.wiring import wiring
from tests.pruning.networks import INPUT_SHAPE, NETWORKS, build, prune_set


def phew(model: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    return score_network(model, masks, Phew(), prune_set(), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("density", ["0.5", "0.1", "0.0123"])
def test_all_that_is_kept_lies_on_paths_save_for_the_end_of_the_last_walk(network: str, density: str) -> None:
    model = build(network)
    scores = phew(model)
    kept = keep_highest(scores, all_kept(scores), Decimal(density), "global")
    wires = connectivity(model, kept, INPUT_SHAPE)
    assert wires.is_connected
    longest_walk = len(scores)
    assert sum(int((kept[name] & ~wires.live[name]).sum()) for name in kept) < longest_walk


@pytest.mark.parametrize("network", NETWORKS)
def test_walks_meet_most_weights_each_once_and_the_rest_ranks_below_by_magnitude(network: str) -> None:
    model = build(network)
    scores = torch.cat([score.flatten() for score in phew(model).values()])
    weights = torch.cat([weight.detach().double().abs().flatten() for weight in prunable_weights(model).values()])
    met = scores >= 1
    assert met.double().mean() > 0.85
    assert scores[met].sort().values.tolist() == list(range(1, int(met.sum()) + 1))
    assert torch.equal(scores[~met].argsort(), weights[~met].argsort())


def test_a_smaller_coverage_gives_the_same_masks_up_to_it() -> None:
    model, data = build("convnet").double(), prune_set()
    scores, sooner = (Phew(coverage=c).score(model, data, torch.Generator().manual_seed(5)) for c in (0.9, 0.2))
    for density in ("0.2", "0.05"):
        full, less = (keep_highest(s, all_kept(s), Decimal(density), "global") for s in (scores, sooner))
        assert all(torch.equal(full[name], less[name]) for name in full)
    num_met = sum(int((score >= 1).sum()) for score in sooner.values())
    assert num_met < 0.6 * sum(score.numel() for score in sooner.values())


@pytest.mark.parametrize("coverage", [0.0, -0.5, 1.5, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match=rf"phew's coverage {coverage}: expected a share"):
        Phew(coverage=coverage)


def two_layers(first: list[list[float]], second: list[list[float]]) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(first))
        model[2].weight.copy_(torch.tensor(second))
    return model


def test_steps_are_taken_in_proportion_to_magnitude() -> None:
    model = two_layers([[3.0, 1.0], [-1.0, -1.0]], [[4.0, 2.0], [-1.0, 6.0]])
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    network = _Network.of(wiring(model, torch.Size((2,))), weights)
    assert network.first_slots.tolist() == [0, 1]
    source, count = torch.Generator().manual_seed(0), 40_000

    def frequencies(steps: Tensor) -> list[float]:
        return (torch.bincount(steps, minlength=8).double() / count).tolist()

    # Forward from input 0: 3/4 to hidden 0 (weight 0), 1/4 to hidden 1 (weight 2); then 4/5 : 1/5, and 1/4 : 3/4.
    steps, arrived = network.forward_walks(torch.zeros(count, dtype=torch.long), source)
    assert arrived.all()
    assert steps.shape == (count, 2)
    assert frequencies(steps[:, 0]) == pytest.approx([0.75, 0, 0.25, 0, 0, 0, 0, 0], abs=0.01)
    assert frequencies(steps[:, 1]) == pytest.approx([0, 0, 0, 0, 0.6, 0.0625, 0.15, 0.1875], abs=0.01)
    # Backward from output 1: 1/7 to hidden 0, 6/7 to hidden 1; then 3/4 : 1/4, and 1/2 : 1/2.
    steps, arrived = network.backward_walks(network.last_units[[1]].expand(count), source)
    assert arrived.all()
    assert frequencies(steps[:, 0]) == pytest.approx([0, 0, 0, 0, 0, 0, 1 / 7, 6 / 7], abs=0.01)
    assert frequencies(steps[:, 1]) == pytest.approx([3 / 28, 1 / 28, 3 / 7, 3 / 7, 0, 0, 0, 0], abs=0.01)


def test_a_dead_end_does_not_count_and_zero_weights_are_not_walked() -> None:
    # Hidden 0 leads nowhere; hidden 1 leads to output 1 only.
    model = two_layers([[1.0, 1.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 5.0]])
    data = PruneSet(inputs=torch.zeros(1, 2, dtype=torch.float64), targets=torch.zeros(1, dtype=torch.long))
    scores = Phew().score(model, data, torch.Generator().manual_seed(0))
    assert (scores["0.weight"] >= 1).tolist() == [[False, False], [True, True]]
    assert (scores["2.weight"] >= 1).tolist() == [[False, False], [False, True]]


def test_a_branch_and_its_shortcut_are_as_likely() -> None:
    model = build("residual").double()
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    network = _Network.of(wiring(model, torch.Size(INPUT_SHAPE)), weights)
    ends = torch.tensor([weight.numel() for weight in weights.values()]).cumsum(0)
    steps, arrived = network.forward_walks(torch.zeros(20_000, dtype=torch.long), torch.Generator().manual_seed(0))
    assert arrived.all()
    layer = torch.searchsorted(ends, steps[:, 1].contiguous(), right=True)
    assert [float((layer == index).double().mean()) for index in (1, 3)] == pytest.approx([0.5, 0.5], abs=0.015)


def test_a_layer_that_the_forward_pass_does_not_use_is_not_walked() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.unused = nn.Linear(64, 10), nn.Linear(64, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.flatten(1))

    scores = phew(Auxiliary())
    assert (scores["unused.weight"] < 1).all()
    assert (scores["head.weight"] >= 1).double().mean() > 0.85


def test_a_network_without_any_path_ranks_by_magnitude() -> None:
    model = two_layers([[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]])
    data = PruneSet(inputs=torch.zeros(1, 2, dtype=torch.float64), targets=torch.zeros(1, dtype=torch.long))
    scores = Phew().score(model, data, torch.Generator().manual_seed(0))
    assert scores["2.weight"].flatten().tolist() == [0.125, 0.25, 0.375, 0.5]


def test_first_occurrences_keep_their_order() -> None:
    assert _first_occurrences(torch.tensor([5, 2, 5, 9, 2, 0])).tolist() == [5, 2, 9, 0]
    assert _first_occurrences(torch.tensor([], dtype=torch.long)).tolist() == []
