"""Multiply-accumulates of one forward pass of one image, by weights of convolutions and linear layers.

A weight is applied at so many positions: those of the output where a layer gathers (convolutions, and linear layers
over tokens), those of the input where it scatters (transposed convolutions). Products with the zeros of a padded border
count like all others, as is usual, and so do those that a transposed convolution crops away. A network's dense cost is
the sum over its layers of weights x positions; what pruning leaves of it, the same sum over live weights alone.
"""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import Tensor, nn

from pruning.prunable import PRUNABLE_LAYERS, TRANSPOSED_LAYERS


def weight_positions(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, int]:
    """By name of each prunable layer's weight, the positions that it is applied at for an image of `input_shape`.

    Counted while a copy of the network runs, in eval mode, on one image. A layer that runs several times, or whose
    weight is another layer's too, adds up under the weight's first name. Layers whose own forward pass never runs are
    left out: nothing reads them, or something else does (multi-head attention its output projection).
    """
    probe = copy.deepcopy(model).eval()
    layers = {name: module for name, module in probe.named_modules() if isinstance(module, PRUNABLE_LAYERS)}
    first_name = {id(layer.weight): name for name, layer in reversed(layers.items())}
    found: Counter[str] = Counter()

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, PRUNABLE_LAYERS)
        found[first_name[id(layer.weight)]] += _positions(layer, inputs[0], output)

    for layer in layers.values():
        layer.register_forward_hook(count)
    like = next(probe.parameters(), torch.empty(0))
    with torch.no_grad():
        probe(torch.zeros(1, *input_shape, device=like.device, dtype=like.dtype))
    return {f"{name}.weight" if name else "weight": found[name] for name in layers if name in found}


def macs_per_image(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of `model` as it is, zeros included.

    A part that a compacted network computes once a batch counts as if each image needed it.
    """
    parameters = dict(model.named_parameters())
    return sum(parameters[name].numel() * count for name, count in weight_positions(model, input_shape).items())


def _positions(layer: nn.Module, given: Tensor, output: Tensor) -> int:
    """Positions of a layer's weights in one forward pass of one image."""
    if isinstance(layer, nn.Linear):
        return output.shape[:-1].numel()
    scatters = isinstance(layer, TRANSPOSED_LAYERS)
    of = given if scatters else output
    return len(of) * of.shape[2:].numel()
