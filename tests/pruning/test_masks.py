"""Masks keep exactly the asked number, the highest, the earlier of equals, and only what is alive."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pruning.masks import Masks, Scores, all_kept, count_kept, keep_k_highest
from pruning.scopes import keep_highest

# Few distinct values, so that ties are the rule; both zeros, signs and infinities included.
tied = st.sampled_from([-float("inf"), -2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, float("inf")])
values = st.one_of(tied, st.floats(allow_nan=False, width=32))
entries = st.lists(st.tuples(values, st.booleans()), min_size=1, max_size=40)


def oracle(scores: list[float], alive: list[bool], num_kept: int) -> list[bool]:
    ranked = sorted((index for index in range(len(scores)) if alive[index]), key=lambda i: (-scores[i], i))
    kept = set(ranked[:num_kept])
    return [index in kept for index in range(len(scores))]


@given(entries=entries, share=st.floats(0, 1), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_the_k_highest_alive_are_kept_the_earlier_of_equals(
    entries: list[tuple[float, bool]], share: float, dtype: torch.dtype
) -> None:
    scores, alive = [score for score, _ in entries], [is_alive for _, is_alive in entries]
    num_kept = int(share * sum(alive))
    kept = keep_k_highest(torch.tensor(scores, dtype=dtype), torch.tensor(alive), num_kept)
    assert kept.dtype == torch.bool
    assert kept.tolist() == oracle(scores, alive, num_kept)


@given(entries=entries, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_fewer_kept_are_a_subset_of_more_kept(entries: list[tuple[float, bool]], shares: tuple[float, float]) -> None:
    scores, alive = torch.tensor([score for score, _ in entries]), torch.tensor([is_alive for _, is_alive in entries])
    few, many = sorted(int(share * int(alive.sum())) for share in shares)
    assert not (keep_k_highest(scores, alive, few) & ~keep_k_highest(scores, alive, many)).any()


@pytest.mark.parametrize("num_kept", [0, 1, 499, 500, 999, 1000])
def test_a_network_of_equal_scores_keeps_its_first_weights(num_kept: int) -> None:
    kept = keep_k_highest(torch.zeros(1000), torch.ones(1000, dtype=torch.bool), num_kept)
    assert kept.tolist() == [True] * num_kept + [False] * (1000 - num_kept)


def test_negative_zero_ties_with_zero() -> None:
    alive = torch.ones(4, dtype=torch.bool)
    assert keep_k_highest(torch.tensor([-0.0, 0.0, -0.0, 0.0]), alive, 2).tolist() == [True, True, False, False]
    assert keep_k_highest(torch.tensor([0.0, -0.0, 0.0, -1.0]), alive, 2).tolist() == [True, True, False, False]


def test_signed_scores_are_ranked_by_value_not_by_magnitude() -> None:
    alive = torch.ones(4, dtype=torch.bool)
    assert keep_k_highest(torch.tensor([-9.0, -1.0, -2.0, 0.1]), alive, 2).tolist() == [False, True, False, True]


def test_scores_of_dead_weights_are_never_looked_at() -> None:
    scores = torch.tensor([float("nan"), 1.0, float("inf"), 2.0, 3.0])
    alive = torch.tensor([False, True, False, True, True])
    assert keep_k_highest(scores, alive, 2).tolist() == [False, False, False, True, True]


def test_what_was_asked_about_is_not_changed() -> None:
    scores, alive = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([True, True, False])
    kept = keep_k_highest(scores, alive, 2)
    kept[:] = False
    assert scores.tolist() == [3.0, 1.0, 2.0]
    assert alive.tolist() == [True, True, False]


def test_more_than_are_alive_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="3 weights are to be kept but only 2 are alive"):
        keep_k_highest(torch.zeros(4), torch.tensor([True, False, True, False]), 3)


def layers(*rows: list[float]) -> Scores:
    return {name: torch.tensor(row) for name, row in zip("abc", rows, strict=False)}


def as_lists(masks: Masks) -> dict[str, list[int]]:
    return {name: mask.int().tolist() for name, mask in masks.items()}


def test_global_scope_ranks_all_layers_together() -> None:
    scores = layers([1.0, 2.0, 3.0, 4.0], [10.0, 20.0], [5.0, 0.0])
    kept = keep_highest(scores, all_kept(scores), Decimal("0.5"), "global")
    assert as_lists(kept) == {"a": [0, 0, 0, 1], "b": [1, 1], "c": [1, 0]}


def test_local_scope_keeps_the_same_share_of_every_layer() -> None:
    scores = layers([1.0, 2.0, 3.0, 4.0], [10.0, 20.0], [5.0, 0.0])
    kept = keep_highest(scores, all_kept(scores), Decimal("0.5"), "local")
    assert as_lists(kept) == {"a": [0, 0, 1, 1], "b": [0, 1], "c": [1, 0]}


def test_ties_across_layers_go_to_the_earlier_layer() -> None:
    scores = layers([1.0, 1.0], [1.0, 1.0], [1.0, 1.0])
    kept = keep_highest(scores, all_kept(scores), Decimal("0.5"), "global")
    assert as_lists(kept) == {"a": [1, 1], "b": [1, 0], "c": [0, 0]}


def test_density_is_of_the_unpruned_network_whatever_is_alive() -> None:
    scores = layers([4.0, 3.0, 2.0, 1.0], [8.0, 7.0, 6.0, 5.0])
    alive = all_kept(scores) | {"b": torch.tensor([False, False, True, True])}
    kept = keep_highest(scores, alive, Decimal("0.5"), "global")
    assert as_lists(kept) == {"a": [1, 1, 0, 0], "b": [0, 0, 1, 1]}


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    per_mille=st.integers(1, 1000),
    scope=st.sampled_from(["global", "local"]),
    seed=st.integers(0, 99),
)
def test_counts_are_round_half_even_over_the_network_or_in_each_layer(
    sizes: list[int], per_mille: int, scope: str, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = {str(i): torch.randint(3, (n, 2), generator=generator).float() for i, n in enumerate(sizes)}
    density = Decimal(per_mille).scaleb(-3)
    share = Fraction(per_mille, 1000)
    expected = {name: round(share * tensor.numel()) for name, tensor in scores.items()}
    total = round(share * sum(tensor.numel() for tensor in scores.values()))
    if (total if scope == "global" else sum(expected.values())) == 0:
        with pytest.raises(ValueError, match="leaves none"):
            keep_highest(scores, all_kept(scores), density, scope)
        return
    kept = keep_highest(scores, all_kept(scores), density, scope)
    assert all(kept[name].shape == scores[name].shape for name in scores)
    if scope == "global":
        assert count_kept(kept) == total
    else:
        assert {name: int(mask.sum()) for name, mask in kept.items()} == expected


@pytest.mark.parametrize(("scope", "enough"), [("global", "0.001"), ("local", "0.002")])
def test_a_density_that_keeps_no_weight_is_refused_with_one_that_would(scope: str, enough: str) -> None:
    scores = layers([1.0] * 500, [1.0] * 500)
    with pytest.raises(ValueError, match=rf"density 0\.0001 of 1000 .* leaves none: .* from density {enough} on"):
        keep_highest(scores, all_kept(scores), Decimal("0.0001"), scope)
    assert count_kept(keep_highest(scores, all_kept(scores), Decimal(enough), scope)) > 0


def test_local_scope_names_the_layer_that_has_too_few_alive() -> None:
    scores = layers([1.0, 2.0], [1.0, 2.0])
    alive = all_kept(scores) | {"b": torch.tensor([False, False])}
    with pytest.raises(ValueError, match="layer b: 1 weights are to be kept but only 0 are alive"):
        keep_highest(scores, alive, Decimal("0.5"), "local")


def test_all_kept_has_the_shapes_of_the_weights() -> None:
    weights: dict[str, Tensor] = {"a": torch.zeros(2, 3), "b": torch.ones(4)}
    masks = all_kept(weights)
    assert {name: (tuple(mask.shape), mask.dtype) for name, mask in masks.items()} == {
        "a": ((2, 3), torch.bool),
        "b": ((4,), torch.bool),
    }
    assert count_kept(masks) == 10
