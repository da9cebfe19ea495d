"""The state of a network in training: everything that its next step depends on, as named tensors and facts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MODEL, OPTIMIZER, NOISE = "model/", "optimizer/", "noise/"

State = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""Tensors by name, and facts that JSON can hold."""

Noise = tuple[dict[str, Tensor], dict[str, Any]]
"""Where the global generators stand: tensors and facts."""


def network_state(model: nn.Module) -> dict[str, Tensor]:
    """Copies of parameters and buffers, BatchNorm's running statistics included."""
    return {f"{MODEL}{name}": tensor.detach().clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def load_network_state(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `network_state` copied. Raises KeyError where the state is of another network."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(tensors[f"{MODEL}{name}"])


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copies of the optimizer's own tensors (momentum, moments, step counts), by number of the parameter."""
    return {
        f"{OPTIMIZER}{number}/{key}": value.detach().clone()
        for number, parameter in enumerate(_parameters(optimizer))
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_optimizer_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_state` copied; what the optimizer held besides is forgotten."""
    known = known_by_parameter(tensors)
    optimizer.state.clear()
    for number, parameter in enumerate(_parameters(optimizer)):
        if number in known:
            optimizer.state[parameter] = {key: as_laid_out(of, parameter) for key, of in known[number].items()}


def known_by_parameter(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """What `optimizer_state` copied, by number of the parameter and the optimizer's own name for it."""
    known: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(OPTIMIZER):
            place, key = name.removeprefix(OPTIMIZER).split("/", 1)
            known.setdefault(int(place), {})[key] = tensor.detach()
    return known


def noise_state(device: torch.device) -> Noise:
    """Where the global generators of torch, NumPy and Python stand: what dropout and users' own layers draw from."""
    tensors = {f"{NOISE}cpu": torch.default_generator.get_state()}
    if device.type == "cuda":
        tensors[f"{NOISE}cuda"] = torch.cuda.get_rng_state(device)
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  (what users' code draws from)
    return tensors, {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
    }


def load_noise_state(device: torch.device, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Put the global generators back to where `noise_state` found them."""
    torch.default_generator.set_state(tensors[f"{NOISE}cpu"].cpu())
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors[f"{NOISE}cuda"].cpu(), device)
    version, internal, gauss = facts["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = facts["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002


def as_laid_out(tensor: Tensor, parameter: nn.Parameter) -> Tensor:
    """A copy in the parameter's memory layout: fused optimizers walk through both side by side."""
    if tensor.shape != parameter.shape:
        return tensor.clone()
    return torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[nn.Parameter]:
    for group in optimizer.param_groups:
        yield from group["params"]
