"""Removing the lowest scores of many: what a full ranking keeps, whatever the sample makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pruning.masks import keep_k_highest
from pruning.stored_weights import StoredLayer, StoredWeights


def stored(weights: Sequence[Tensor]) -> StoredWeights:
    """Layers of the given weights (outputs, inputs), whose gradients are all one: scores are the weights."""
    layers = [StoredLayer(f"layer {number}", nn.Parameter(weight.clone())) for number, weight in enumerate(weights)]
    return StoredWeights(layers)


def keep(weights: StoredWeights, num_kept: int) -> Tensor:
    """Keep the highest with a gradient of one everywhere; return what is alive after it."""
    weights.scores.fill_(1.0)
    for layer in weights.layers:
        layer.has_gradient = True
    weights.keep_highest(weights.layers, num_kept)
    return weights.alive


@given(
    num_values=st.sampled_from([3, 1000, 10**9]),
    alive=st.floats(0.05, 1.0),
    kept=st.floats(0.0, 1.0),
    seed=st.integers(0, 99),
)
def test_the_sampled_search_keeps_what_a_full_one_keeps(num_values: int, alive: float, kept: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = 300_000
    values = torch.randint(num_values, (size,), generator=generator).double()
    mine = stored([part.view(100, -1) for part in values.split(100_000)])
    before = keep(mine, int(alive * size)).clone()
    assert torch.equal(before, keep_k_highest(values, torch.ones_like(before), int(alive * size)))
    num_kept = int(kept * int(before.sum()))
    assert torch.equal(keep(mine, num_kept), keep_k_highest(values, before, num_kept))
    assert mine.num_kept == num_kept
    assert sum(layer.score_cut for layer in mine.layers) == values[before & ~mine.alive].sum()
    assert [layer.score_sum for layer in mine.layers] == [
        (part * was).sum() for part, was in zip(values.split(100_000), before.split(100_000), strict=True)
    ]


@pytest.mark.parametrize("num_kept", [1, 5, 10, 11, 299_999, 300_000])
@pytest.mark.parametrize("first", [0, 1000])
def test_the_search_is_right_where_the_sample_is_not_like_the_whole(num_kept: int, first: int) -> None:
    scores = torch.full((300_000,), 20.0 if first else 0.0, dtype=torch.float64)
    scores[first : first + 10] = torch.arange(1.0, 11.0, dtype=torch.float64)
    expected = keep_k_highest(scores, torch.ones_like(scores, dtype=torch.bool), num_kept)
    assert torch.equal(keep(stored([scores.view(3000, 100)]), num_kept), expected)


def test_the_search_is_right_where_every_sampled_score_misleads() -> None:
    size = 300_000
    sampled = torch.arange(2**14) * 0x9E3779B1 % size
    generator = torch.Generator().manual_seed(0)
    for of_sampled in (0.0, 1e9):
        scores = torch.rand(size, dtype=torch.float64, generator=generator) + 1
        scores[sampled] = of_sampled
        for num_kept in (1000, 150_000, 290_000):
            expected = keep_k_highest(scores, torch.ones_like(scores, dtype=torch.bool), num_kept)
            assert torch.equal(keep(stored([scores.view(1000, 300)]), num_kept), expected)


def test_rows_and_columns_are_given_up_and_the_rest_stays_where_it_was() -> None:
    generator = torch.Generator().manual_seed(0)
    full = [torch.rand(40, 30, dtype=torch.float64, generator=generator) for _ in range(3)]
    for weight in full:
        weight[10:] = 0.0
        weight[:, ::2] = 0.0
    mine = stored(full)
    mine.layers[0].shrinks = mine.layers[2].shrinks = True
    kept = sum(int(weight.count_nonzero()) for weight in full)
    keep(mine, kept)
    mine.compact()
    assert [layer.weight.numel() for layer in mine.layers] == [150, 1200, 150]
    assert len(mine.weights) == len(mine.alive) == len(mine.scores) == 1500
    for layer, weight in zip(mine.layers, full, strict=True):
        assert torch.equal(layer.expanded(layer.weight.detach()), weight)
        assert torch.equal(layer.expanded(layer.alive), weight > 0)
    cut = keep(mine, kept // 2)
    everything = torch.cat([layer.expanded(layer.alive).flatten() for layer in mine.layers])
    ranked = torch.cat([weight.flatten() for weight in full])
    assert torch.equal(everything, keep_k_highest(ranked, ranked > 0, kept // 2))
    assert int(cut.sum()) == kept // 2


def test_little_to_give_up_is_not_worth_moving_the_rest() -> None:
    weight = torch.ones(40, 30, dtype=torch.float64)
    weight[0] = 0.0
    mine = stored([weight])
    mine.layers[0].shrinks = True
    keep(mine, 39 * 30)
    mine.compact()
    assert mine.layers[0].weight.shape == (40, 30)


def test_an_empty_layer_keeps_one_dead_weight() -> None:
    mine = stored([torch.ones(4, 3, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)])
    for layer in mine.layers:
        layer.shrinks = True
    keep(mine, 12)
    mine.compact()
    assert [layer.weight.shape for layer in mine.layers] == [(4, 3), (1, 1)]
    assert [layer.num_kept for layer in mine.layers] == [12, 0]
    assert not mine.layers[1].expanded(mine.layers[1].alive).any()
    assert keep(mine, 12).sum() == 12
    mine.keep_highest(mine.layers[1:], 0)
    with pytest.raises(ValueError, match="1 weights are to be kept but only 0 are alive"):
        mine.keep_highest(mine.layers[1:], 1)
