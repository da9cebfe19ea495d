"""A multilayer perceptron."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.width import scaled


class MLP(nn.Module):
    """Linear layers with ReLU between them.

    Weights are drawn from He's normal law (fan-in), biases start at zero: layers differ in scale by their fan-in,
    which is what makes global magnitude pruning empty the wide ones.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        widths: Sequence[int] = (500, 500),
        width_factor: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = [math.prod(input_shape), *(scaled(width, width_factor) for width in widths), num_classes]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes[:-1]))
        self.classifier = nn.Linear(sizes[-2], sizes[-1])
        for layer in [*self.hidden, self.classifier]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        activations = images_nchw.flatten(1)
        for layer in self.hidden:
            activations = torch.relu(layer(activations))
        return self.classifier(activations)
