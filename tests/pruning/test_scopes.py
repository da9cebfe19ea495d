"""A scope says which weights are ranked against which; the network's count stays exact."""

from __future__ import annotations

from decimal import Decimal

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pruning.density import kept_count
from pruning.masks import Masks, Scores, all_kept, count_kept
from pruning.prune import prune
from pruning.scopes import keep_highest, layer_densities

SIZES = {"conv.weight": 40, "fc.weight": 100, "head.weight": 10}


def scores(seed: int = 0) -> Scores:
    source = torch.Generator().manual_seed(seed)
    return {name: torch.rand(size, generator=source) for name, size in SIZES.items()}


def one_shot(density: Decimal, scope: str) -> Masks:
    return prune(lambda masks, number: scores(), scores(), density, scope=scope).masks


def counts(masks: Masks) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks.items()}


def test_a_layer_kept_dense_leaves_the_rest_to_the_others() -> None:
    given_scores = scores()
    kept = one_shot(Decimal("0.2"), '{"last":"1"}')
    assert counts(kept)["head.weight"] == 10
    assert count_kept(kept) == 30
    others = {name: given_scores[name] for name in ("conv.weight", "fc.weight")}
    alone = keep_highest(others, all_kept(others), Decimal(20) / Decimal(140), "global")
    assert all(torch.equal(kept[name], alone[name]) for name in others)


def test_names_first_last_and_the_models_own() -> None:
    assert layer_densities('{"first":"0.5","fc":"0.25","last":"1"}', SIZES) == {
        "conv.weight": Decimal("0.5"),
        "fc.weight": Decimal("0.25"),
        "head.weight": Decimal("1"),
    }


def test_a_map_of_all_layers_must_add_up_to_the_density() -> None:
    everything = '{"conv":"0.5","fc":"0.2","head":"1"}'  # 20 + 20 + 10 of 150
    kept = one_shot(Decimal(50) / Decimal(150), everything)
    assert counts(kept) == {"conv.weight": 20, "fc.weight": 20, "head.weight": 10}
    for density in ("0.3", "0.4"):
        with pytest.raises(ValueError, match="keep 50 weights, but density"):
            one_shot(Decimal(density), everything)


@given(first=st.decimals(0, 1, places=3), density=st.decimals("0.3", 1, places=4), rounds=st.integers(1, 5))
def test_every_round_is_exact_and_nested(first: Decimal, density: Decimal, rounds: int) -> None:
    assume(0 < kept_count(density, 150) - kept_count(first, 40) <= 110)
    seen: list[Masks] = []

    def score(masks: Masks, number: int) -> Scores:
        seen.append(masks)
        return scores(number)

    pruned = prune(score, scores(), density, num_rounds=rounds, scope=f'{{"first":"{first}"}}')
    assert count_kept(pruned.masks) == kept_count(density, 150)
    assert counts(pruned.masks)["conv.weight"] == kept_count(first, 40)
    for before, after in zip(seen, [*seen[1:], pruned.masks], strict=True):
        assert all(not (after[name] & ~before[name]).any() for name in before)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("layer", "scope 'layer': expected one of global, local, or densities by layer"),
        ('{"frist":"1"}', "names layer 'frist', which is none; did you mean first"),
        ('{"fc":"1.5"}', r"density 1.5 of layer 'fc': expected a number in \[0, 1\]"),
        ('{"fc":"high"}', "expected one of global, local"),
        ("[1]", "expected one of global, local"),
    ],
)
def test_a_scope_that_cannot_be_is_refused(scope: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        one_shot(Decimal("0.5"), scope)
