"""The laws that initial weights are drawn from, by the name of who published them.

All draw from torch's global generator, which the caller seeds. Biases always start at zero, also where a source keeps
PyTorch's random ones: a unit that nothing feeds then emits exactly zero, which compaction relies on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

Law = Callable[[Tensor], object]
"""Fills a weight in place."""


def he_fan_in(weight: Tensor) -> None:
    """N(0, 2 / fan_in), He et al. 2015: keeps the size of activations."""
    nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu")


def he_fan_out(weight: Tensor) -> None:
    """N(0, 2 / fan_out), He et al. 2015: keeps the size of gradients."""
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def glorot_normal(weight: Tensor) -> None:
    """N(0, 2 / (fan_in + fan_out)), Glorot and Bengio 2010."""
    nn.init.xavier_normal_(weight)


def normal_hundredth(weight: Tensor) -> None:
    """N(0, 0.01^2), the classifiers of torchvision's VGG and MobileNet."""
    nn.init.normal_(weight, std=0.01)


def torch_default(weight: Tensor) -> None:
    """U(-1, 1) / sqrt(fan_in), what PyTorch's layers draw unless told otherwise."""
    bound = 1 / math.sqrt(weight[0].numel())
    nn.init.uniform_(weight, -bound, bound)


def draw_weights(model: nn.Module, *, convolutions: Law, linear: Law) -> None:
    """Draw every convolution's and linear layer's weight anew, in the order of registration; zero their biases."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            law = convolutions if isinstance(module, nn.Conv2d) else linear
            law(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
