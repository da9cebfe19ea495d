"""The small networks of the pruning literature: the LeNets on MNIST and Conv-2, -4, -6 on CIFAR-10.

LeNet-300-100 is LeCun et al. 1998's multilayer perceptron. LeNet-5 is the variant that pruning papers mean (Caffe's:
20 and 50 filters of 5x5, 431,080 parameters), with ReLU. Conv-2, -4, -6 are the VGG-like networks of the lottery-ticket
paper (Frankle and Carbin 2019, figure 2), whose Gaussian Glorot initial weights all five use; biases start at zero.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from models.forms import require_side
from models.initial_law import draw_weights, glorot_normal
from models.weights import with_weights
from models.width import scaled


class LeNet(nn.Module):
    """Feature layers, then linear layers of the given sizes with ReLU between them."""

    def __init__(self, features: list[nn.Module], sizes: list[int]) -> None:
        super().__init__()
        self.features = nn.Sequential(*features, nn.Flatten())
        head: list[nn.Module] = []
        for index in range(len(sizes) - 1):
            head += [nn.ReLU()] if index else []
            head.append(nn.Linear(sizes[index], sizes[index + 1]))
        self.classifier = nn.Sequential(*head)
        draw_weights(self, convolutions=glorot_normal, linear=glorot_normal)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        return self.classifier(self.features(images_nchw))


def lenet_300_100(
    *, input_shape: tuple[int, int, int], num_classes: int, weights: str | None = None, width_factor: float = 1.0
) -> LeNet:
    """Hidden layers of 300 and 100 units."""
    hidden = [scaled(300, width_factor), scaled(100, width_factor)]
    return with_weights(LeNet([], [math.prod(input_shape), *hidden, num_classes]), weights)


def lenet5(
    *, input_shape: tuple[int, int, int], num_classes: int, weights: str | None = None, width_factor: float = 1.0
) -> LeNet:
    """Two 5x5 convolutions without padding, each pooled 2x2, then 500 hidden units; images of 16 pixels or more."""
    require_side("lenet5", input_shape, 16)
    channels, height, width = input_shape
    features: list[nn.Module] = []
    for filters in (scaled(20, width_factor), scaled(50, width_factor)):
        features += [nn.Conv2d(channels, filters, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, width = filters, (height - 4) // 2, (width - 4) // 2
    sizes = [channels * height * width, scaled(500, width_factor), num_classes]
    return with_weights(LeNet(features, sizes), weights)


def conv2(
    *, input_shape: tuple[int, int, int], num_classes: int, weights: str | None = None, width_factor: float = 1.0
) -> LeNet:
    """One pair of convolutions."""
    return _conv(1, input_shape, num_classes, weights, width_factor)


def conv4(
    *, input_shape: tuple[int, int, int], num_classes: int, weights: str | None = None, width_factor: float = 1.0
) -> LeNet:
    """Two pairs of convolutions."""
    return _conv(2, input_shape, num_classes, weights, width_factor)


def conv6(
    *, input_shape: tuple[int, int, int], num_classes: int, weights: str | None = None, width_factor: float = 1.0
) -> LeNet:
    """Three pairs of convolutions."""
    return _conv(3, input_shape, num_classes, weights, width_factor)


def _conv(
    num_pairs: int, input_shape: tuple[int, int, int], num_classes: int, weights: str | None, width_factor: float
) -> LeNet:
    """Pairs of 3x3 convolutions of 64, 128, 256 filters, each pair pooled 2x2, then two hidden layers of 256."""
    require_side(f"conv{2 * num_pairs}", input_shape, 2**num_pairs)
    channels, height, width = input_shape
    features: list[nn.Module] = []
    for filters in [scaled(published, width_factor) for published in (64, 128, 256)[:num_pairs]]:
        for _ in range(2):
            features += [nn.Conv2d(channels, filters, kernel_size=3, padding=1), nn.ReLU()]
            channels = filters
        features.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    hidden = scaled(256, width_factor)
    return with_weights(LeNet(features, [channels * height * width, hidden, hidden, num_classes]), weights)
