"""Tensors of several networks in one: each padded with zeros to the largest, one after the other.

Of tensors (o_k, i_k, ...) the stack is (K O, I, ...), with O and I the largest: network k's is the corner of block k.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def stacked(tensors: Sequence[Tensor], padding: float = 0.0) -> Tensor:
    """The stack of tensors with as many dimensions; of scalars, which count the same everywhere, the first."""
    if not tensors[0].dim():
        return tensors[0].clone()
    largest = torch.tensor([tensor.shape for tensor in tensors]).amax(0).tolist()
    stack = tensors[0].new_full((len(tensors), *largest), padding)
    for block, tensor in zip(stack, tensors, strict=True):
        _corner(block, tensor.shape).copy_(tensor)
    return stack.flatten(0, 1)


def of_network(stack: Tensor, number: int, num_networks: int, shape: torch.Size) -> Tensor:
    """One network's tensor, a view of its stack."""
    if not stack.dim():
        return stack
    return _corner(stack.unflatten(0, (num_networks, -1))[number], shape)


def _corner(block: Tensor, shape: torch.Size) -> Tensor:
    return block[tuple(slice(size) for size in shape)]
