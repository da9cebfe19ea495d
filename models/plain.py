"""`fc` and `conv`: the default networks of the SynFlow authors' code, without BatchNorm and without pooling.

They differ from our mlp and convnet in that, and in PyTorch's default law for the weights. The authors keep its random
biases too; here biases start at zero.
"""

from __future__ import annotations

import math

from torch import nn

from models.initial_law import draw_weights, torch_default
from models.weights import with_weights
from models.width import scaled


def fc(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 6,
    width: int = 100,
    weights: str | None = None,
    width_factor: float = 1.0,
) -> nn.Sequential:
    """`depth` linear layers, the hidden ones `width` wide, with ReLU between them."""
    _require_two("fc", depth)
    layers: list[nn.Module] = [nn.Flatten()]
    size, hidden = math.prod(input_shape), scaled(width, width_factor)
    for _ in range(depth - 1):
        layers += [nn.Linear(size, hidden), nn.ReLU()]
        size = hidden
    return _drawn([*layers, nn.Linear(size, num_classes)], weights)


def conv(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: int = 3,
    width: int = 32,
    weights: str | None = None,
    width_factor: float = 1.0,
) -> nn.Sequential:
    """`depth` - 1 3x3 convolutions of `width` filters with ReLU, then a linear classifier of all positions."""
    _require_two("conv", depth)
    layers: list[nn.Module] = []
    channels, height, width_pixels = input_shape
    filters = scaled(width, width_factor)
    for _ in range(depth - 1):
        layers += [nn.Conv2d(channels, filters, kernel_size=3, padding=1), nn.ReLU()]
        channels = filters
    return _drawn([*layers, nn.Flatten(), nn.Linear(channels * height * width_pixels, num_classes)], weights)


def _drawn(layers: list[nn.Module], weights: str | None) -> nn.Sequential:
    model = nn.Sequential(*layers)
    draw_weights(model, convolutions=torch_default, linear=torch_default)
    return with_weights(model, weights)


def _require_two(name: str, depth: int) -> None:
    if depth < 2:
        raise ValueError(f"{name}: depth {depth} is too small, expected at least 2 (one hidden layer)")
