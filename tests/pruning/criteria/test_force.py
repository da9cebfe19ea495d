"""FORCE and iterative SNIP: the same sensitivity, with and without a way back."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
import torch

from pruning.criteria.contract import Criterion, is_monotone
from pruning.criteria.force import Force
from pruning.criteria.iterative_snip import IterativeSnip
from pruning.criteria.snip import Snip
from pruning.masks import Masks, Scores, all_kept, count_kept
from pruning.prunable import prunable_weights
from pruning.prune import Pruned, prune
from pruning.scoring import score_network
from tests.pruning.networks import NETWORKS, build, prune_set


def run(criterion: Criterion, network: str, density: str, num_rounds: int) -> tuple[Pruned, list[Masks]]:
    """The result, and the masks before each round and after the last."""
    model = build(network)
    history: list[Masks] = []

    def score(masks: Masks, number: int) -> Scores:
        history.append(masks)
        return score_network(model, masks, criterion, prune_set(), torch.Generator(), mode="train")

    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    pruned = prune(score, weights, Decimal(density), num_rounds=num_rounds, monotone=is_monotone(criterion))
    return pruned, [*history, pruned.masks]


def num_returned(history: list[Masks]) -> int:
    return sum(
        int((after[name] & ~before[name]).sum()) for before, after in itertools.pairwise(history) for name in after
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_return_under_force_and_never_under_iterative_snip(network: str) -> None:
    forced, history = run(Force(), network, "0.05", 8)
    assert num_returned(history) > 0
    iterated, nested = run(IterativeSnip(), network, "0.05", 8)
    assert num_returned(nested) == 0
    assert [done.kept for done in forced.rounds] == [done.kept for done in iterated.rounds]
    assert [count_kept(masks) for masks in history[1:]] == [done.kept for done in forced.rounds]


@pytest.mark.parametrize("criterion", [Force(), IterativeSnip()])
def test_one_round_is_snip(criterion: Criterion) -> None:
    masks, _ = run(criterion, "convnet", "0.1", 1)
    snip, _ = run(Snip(), "convnet", "0.1", 1)
    assert all(torch.equal(masks.masks[name], snip.masks[name]) for name in snip.masks)


def test_a_removed_weight_scores_by_its_own_value_and_the_masked_networks_gradient() -> None:
    model = build("mlp").double()
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    masks["hidden.1.weight"][:, ::3] = False
    score = score_network(model, masks, Force(), prune_set(), torch.Generator())["hidden.1.weight"]
    original = model.hidden[1].weight.detach().clone()
    with torch.no_grad():
        model.hidden[1].weight.mul_(masks["hidden.1.weight"])
    torch.nn.functional.cross_entropy(model(prune_set().inputs.double()), prune_set().targets).backward()
    torch.testing.assert_close(score, (original * model.hidden[1].weight.grad).abs(), rtol=1e-12, atol=0.0)
    assert (score[:, ::3] > 0).any()


def test_scores_of_removed_weights_must_be_finite_too_where_they_may_return() -> None:
    model = build("mlp")
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    masks["classifier.weight"][0, 0] = False
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("inf")
    assert score_network(model, masks, Snip(), prune_set(), torch.Generator())
    with pytest.raises(ValueError, match=r"not finite for 1 of 150 weights of classifier\.weight"):
        score_network(model, masks, Force(), prune_set(), torch.Generator())


def test_literal_masks_of_two_rounds_in_which_a_weight_returns() -> None:
    rounds = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([9.0, 8.0, 6.0, 5.0])]
    result = prune(
        lambda masks, number: {"layer": rounds[number - 1]},
        {"layer": rounds[0]},
        Decimal("0.25"),
        num_rounds=2,
        monotone=False,
    )
    assert result.masks["layer"].tolist() == [True, False, False, False]
    # Cut: what was kept and is not any more. Flow: what was kept before the round.
    assert [(done.kept, done.score_cut, done.flow) for done in result.rounds] == [(2, 3.0, 10.0), (1, 11.0, 11.0)]
