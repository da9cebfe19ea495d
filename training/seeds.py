"""Generators derived from (seed, purpose): the same in any process, order or company."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose. Different purposes of one seed are unrelated.

    >>> derive_seed(0, "init") == derive_seed(0, "init") != derive_seed(0, "order")
    True
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device`, seeded for one purpose."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, purpose))


@contextmanager
def global_seed(seed: int, purpose: str) -> Iterator[None]:
    """Seed torch's global generator for code that takes no generator (layers' initialisation), then restore it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, purpose))
        yield
