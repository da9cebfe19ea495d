"""Generators derived from (seed, purpose): the same in any process, order or company."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
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
def global_seed(seed: int, purpose: str, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed the global generators of torch (on `device` too), NumPy and Python, then restore them.

    For code that takes no generator: layers' initialisation, dropout, users' own models.
    """
    on_gpu = torch.device(device).type == "cuda"
    derived = derive_seed(seed, purpose)
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  (what users' code draws from)
    try:
        with torch.random.fork_rng(devices=[device] if on_gpu else []):
            torch.default_generator.manual_seed(derived)
            if on_gpu:
                torch.cuda.manual_seed(derived)
            random.seed(derived)
            np.random.seed(derived % 2**32)  # noqa: NPY002
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
