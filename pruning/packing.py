"""Masks as bits: eight weights a byte, for storage and for comparison."""

from __future__ import annotations

import torch
from torch import Tensor

_PLACES = tuple(1 << place for place in reversed(range(8)))


def pack(mask: Tensor) -> bytes:
    """A boolean tensor's entries in order, the first in the highest bit, the last byte filled up with zeros.

    >>> pack(torch.tensor([[True, False], [True, True]])).hex()
    'b0'
    """
    flat = mask.flatten().to(torch.uint8).cpu()
    padded = torch.cat([flat, flat.new_zeros(-len(flat) % 8)]).view(-1, 8)
    return bytes((padded * torch.tensor(_PLACES, dtype=torch.uint8)).sum(1, dtype=torch.uint8).tolist())


def unpack(bits: bytes, shape: tuple[int, ...]) -> Tensor:
    """The boolean tensor that `pack` packed."""
    packed = torch.frombuffer(bytearray(bits), dtype=torch.uint8)
    flat = (packed[:, None] & torch.tensor(_PLACES, dtype=torch.uint8)).bool().flatten()
    return flat[: torch.Size(shape).numel()].view(shape)
