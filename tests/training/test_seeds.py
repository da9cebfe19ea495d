"""Seeds derived for a purpose never change, and global generators are given back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.seeds import derive_seed, generator, global_seed


@pytest.mark.parametrize(
    ("seed", "purpose", "derived"),
    [
        (0, "init", 7_797_302_695_267_191_734),
        (1, "init", 7_181_719_228_074_298_888),
        (0, "order/1", 2_961_819_992_523_135_983),
        (12345678901234567890, "score/100", 262_088_079_995_798_811),
        (-1, "prune set", 7_334_673_223_275_115_753),
    ],
)
def test_derived_seeds_are_these_for_ever(seed: int, purpose: str, derived: int) -> None:
    assert derive_seed(seed, purpose) == derived


@given(st.integers(0, 10**6), st.integers(1, 10**4))
def test_derived_seeds_fit_a_generator_and_differ(seed: int, epoch: int) -> None:
    derived = derive_seed(seed, f"order/{epoch}")
    assert 0 <= derived < 2**63
    assert len({derived, derive_seed(seed + 1, f"order/{epoch}"), derive_seed(seed, f"order/{epoch + 1}")}) == 3


def test_a_generator_repeats_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    draws = [torch.rand(3, generator=generator(5, "order/1")).tolist() for _ in range(2)]
    assert draws[0] == draws[1]
    assert draws[0] != torch.rand(3, generator=generator(5, "order/2")).tolist()
    assert torch.equal(torch.get_rng_state(), before)


def draw() -> tuple[float, float, float]:
    return float(torch.rand(())), random.random(), float(np.random.rand())


def test_every_global_generator_is_seeded_inside_and_restored_after_even_by_an_error() -> None:
    expected_next = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    with global_seed(3, "init"):
        first = draw()
    with pytest.raises(KeyError), global_seed(3, "init"):
        second = draw()
        raise KeyError
    assert first == second
    with global_seed(4, "init"):
        assert not set(first) & set(draw())
    assert torch.equal(torch.get_rng_state(), expected_next[0])
    assert random.getstate() == expected_next[1]
    assert np.random.get_state()[1].tolist() == expected_next[2]
