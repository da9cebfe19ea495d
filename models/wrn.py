"""Wide ResNets for CIFAR: WRN-d-k (Zagoruyko and Komodakis 2016), d layers, k times as wide as ResNet-d.

Pre-activation blocks: BatchNorm and ReLU come before each convolution. Where a block changes its shape, the shortcut
is a 1x1 convolution of the activated input, without BatchNorm, as in the authors' code. He's law by fan-in, as their
PyTorch version draws (their Lua version: fan-out). No dropout inside blocks.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.initial_law import draw_weights, he_fan_in
from models.shortcut import IdentityShortcut
from models.weights import with_weights
from models.width import scaled


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each behind BatchNorm and ReLU, added to a shortcut."""

    def __init__(self, channels: int, filters: int, stride: int, *, is_projected: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, filters, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(filters, filters, kernel_size=3, padding=1, bias=False)
        self.projection: nn.Module | None = None
        if is_projected:
            self.projection = nn.Conv2d(channels, filters, kernel_size=1, stride=stride, bias=False)
        else:
            self.identity = IdentityShortcut(channels)

    def forward(self, features_nchw: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, filters, ceil(h / stride), ceil(w / stride))."""
        activated = self.relu1(self.bn1(features_nchw))
        residual = self.conv2(self.relu2(self.bn2(self.conv1(activated))))
        return residual + (self.identity(features_nchw) if self.projection is None else self.projection(activated))


class WideResNet(nn.Module):
    """A stem of 16 filters and three groups of 16 k, 32 k and 64 k filters."""

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        depth: int,
        widening: int,
        width_factor: float,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = stem = scaled(16, width_factor)
        for group in range(3):
            filters = scaled(16 * 2**group * widening, width_factor)
            for index in range((depth - 4) // 6):
                stride = 2 if group > 0 and index == 0 else 1
                is_projected = index == 0 and (group > 0 or widening > 1)
                blocks.append(PreActivationBlock(channels, filters, stride, is_projected=is_projected))
                channels = filters
        self.conv = nn.Conv2d(input_shape[0], stem, kernel_size=3, padding=1, bias=False)
        self.blocks = nn.Sequential(*blocks)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        draw_weights(self, convolutions=he_fan_in, linear=he_fan_in)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        features = self.relu(self.bn(self.blocks(self.conv(images_nchw))))
        return self.classifier(self.avgpool(features).flatten(1))


def _factory(depth: int, widening: int) -> Callable[..., WideResNet]:
    def wrn(
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        weights: str | None = None,
        width_factor: float = 1.0,
    ) -> WideResNet:
        model = WideResNet(
            input_shape=input_shape,
            num_classes=num_classes,
            depth=depth,
            widening=widening,
            width_factor=width_factor,
        )
        return with_weights(model, weights)

    return wrn


wrn16_4, wrn16_8 = _factory(16, 4), _factory(16, 8)
wrn22_8 = _factory(22, 8)
wrn28_10 = _factory(28, 10)
wrn40_1, wrn40_2, wrn40_4 = _factory(40, 1), _factory(40, 2), _factory(40, 4)
