"""A criterion works on a private copy, and what it returns is checked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pruning.criteria.contract import PruneSet
from pruning.criteria.snip import Snip
from pruning.criteria.synflow import SynFlow
from pruning.masks import Masks, Scores, all_kept
from pruning.prunable import prunable_weights
from pruning.scoring import score_network
from tests.pruning.networks import build, prune_set


class Custom:
    """A criterion out of a function of the private copy."""

    def __init__(self, function: Callable[[nn.Module, PruneSet, torch.Generator], object]) -> None:
        self.function = function

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        return self.function(model, data, generator)  # type: ignore[return-value]


def ones(model: nn.Module) -> Scores:
    return {name: torch.ones_like(weight) for name, weight in prunable_weights(model).items()}


def run(
    function: Callable[[nn.Module, PruneSet, torch.Generator], object],
    model: nn.Module | None = None,
    masks: Masks | None = None,
    mode: str = "eval",
    dtype: torch.dtype = torch.float64,
) -> Scores:
    model = model or build("mlp")
    masks = masks or all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    return score_network(
        model, masks, Custom(function), prune_set(), torch.Generator().manual_seed(0), mode=mode, dtype=dtype
    )


def test_the_criterion_sees_masked_weights_in_the_asked_mode_and_dtype() -> None:
    model = build("convnet")
    weights = prunable_weights(model)
    masks = {name: torch.rand(weight.shape) < 0.5 for name, weight in weights.items()}
    seen: list[object] = []

    def criterion(private: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        assert all(module.training for module in private.modules())
        for name, weight in prunable_weights(private).items():
            expected = torch.where(masks[name], weights[name].double(), 0.0)
            seen.append(torch.equal(weight, expected) and weight.dtype == torch.float64)
        seen.append(data.inputs.dtype == torch.float64)
        return ones(private)

    run(criterion, model, masks, mode="train")
    assert seen == [True] * 5


def test_a_removed_weight_is_zero_even_where_it_was_not_finite() -> None:
    model = build("mlp")
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("inf")
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    masks["classifier.weight"][0, 0] = False
    run(lambda private, data, generator: {n: w.detach() for n, w in prunable_weights(private).items()}, model, masks)


def test_whatever_a_criterion_does_to_its_copy_nothing_leaks() -> None:
    model = build("convnet").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def vandal(private: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        scores = ones(private)
        with torch.no_grad():
            for tensor in [*private.parameters(), *private.buffers()]:
                tensor.fill_(9)
        private.eval()
        return scores

    run(vandal, model, mode="train")
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_train_mode_scoring_leaves_batchnorm_statistics_alone_and_matters() -> None:
    model = build("convnet")
    model.features[1].running_mean.fill_(3.0)
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})

    def snip(mode: str) -> Tensor:
        scores = score_network(model, masks, Snip(), prune_set(), torch.Generator(), mode=mode)
        return scores["features.0.weight"]

    assert not torch.allclose(snip("train"), snip("eval"))
    assert model.features[1].running_mean.tolist() == [3.0] * 4


def test_dropout_while_scoring_draws_from_the_given_generator_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Dropout(0.5), nn.Linear(30, 10))
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})

    def snip(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return score_network(model, masks, Snip(), prune_set(), generator, mode="train")["1.weight"]

    first, state = snip(0), torch.get_rng_state()
    torch.rand(3)
    moved = torch.get_rng_state()
    assert torch.equal(first, snip(0))
    assert torch.equal(torch.get_rng_state(), moved)
    assert not torch.equal(state, moved)
    assert not torch.equal(first, snip(1))


def test_frozen_weights_are_scored() -> None:
    model = build("mlp")
    expected = run(Snip().score, model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in run(Snip().score, model).items())
    assert not any(parameter.requires_grad for parameter in model.parameters())


class Auxiliary(nn.Module):
    """A network with a head that the forward pass does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)
        self.unused = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))


@pytest.mark.parametrize("criterion", [Snip(), SynFlow()])
def test_a_layer_that_the_forward_pass_does_not_use_scores_zero(criterion: Snip | SynFlow) -> None:
    scores = run(criterion.score, Auxiliary())
    assert scores["unused.weight"].count_nonzero() == 0
    assert scores["head.weight"].count_nonzero() > 0


def test_missing_scores_are_refused_with_the_layers_names() -> None:
    with pytest.raises(ValueError, match=r"Custom\.score left out hidden\.1\.weight, classifier\.weight"):
        run(lambda private, data, generator: {"hidden.0.weight": ones(private)["hidden.0.weight"]})


def test_scores_that_are_no_tensors_are_refused_with_layer_and_type() -> None:
    with pytest.raises(ValueError, match=r"gave hidden\.1\.weight a list: expected a tensor"):
        run(lambda private, data, generator: ones(private) | {"hidden.1.weight": [1.0]})


def test_scores_of_another_shape_are_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"gave hidden\.1\.weight shape \(20, 15\): expected \(15, 20\)"):
        run(lambda private, data, generator: ones(private) | {"hidden.1.weight": torch.ones(20, 15)})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_refused_with_layer_count_and_remedy(bad: float) -> None:
    def criterion(private: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        scores = ones(private)
        scores["hidden.1.weight"][:2, 0] = bad
        return scores

    with pytest.raises(ValueError, match=r"not finite for 2 of 300 weights of hidden\.1\.weight: score in float64"):
        run(criterion)


def test_scores_of_removed_weights_may_be_anything() -> None:
    model = build("mlp")
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    masks["hidden.1.weight"][0, 0] = False

    def criterion(private: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        scores = ones(private)
        scores["hidden.1.weight"][0, 0] = float("nan")
        return scores

    assert run(criterion, model, masks)["hidden.1.weight"].isnan().sum() == 1


def test_something_else_than_a_dict_is_refused_with_what_it_was() -> None:
    with pytest.raises(ValueError, match=r"Custom\.score returned list: expected a dict of tensors by weight name"):
        run(lambda private, data, generator: [1.0])


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode 'training': expected 'eval' or 'train'"):
        run(lambda private, data, generator: ones(private), mode="training")
