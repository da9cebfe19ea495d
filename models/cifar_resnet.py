"""The ResNets made for CIFAR: ResNet-20 to -1202 (He et al. 2016, section 4.2), and twice as wide.

Three segments of width W, 2W, 4W (W = 16; 32 in the wide ones, as in the SynFlow authors' code) behind a 3x3 stem.
Where a segment begins, the shortcut must halve positions and double channels. `projection` is a 1x1 convolution with
BatchNorm (He's option B; OpenLTH and the SynFlow authors use it, hence the default here); `padding` drops every other
position and pads channels with zeros (option A, with which He et al. counted parameters). He's law by fan-in for
all weights, as OpenLTH draws them; the last BatchNorm of a block starts at one, not zero.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.initial_law import draw_weights, he_fan_in
from models.shortcut import IdentityShortcut
from models.weights import with_weights
from models.width import scaled

SHORTCUTS = ("projection", "padding")


class PaddedShortcut(nn.Module):
    """Every other position of every channel; further channels are zero."""

    def __init__(self, residual_channels: int, num_new_channels: int) -> None:
        super().__init__()
        self.residual_channels = residual_channels
        self.num_new_channels = num_new_channels

    def forward(self, features_nchw: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c + num_new_channels, ceil(h / 2), ceil(w / 2))."""
        halved = features_nchw[:, :, ::2, ::2]
        return nn.functional.pad(halved, (0, 0, 0, 0, 0, self.num_new_channels))


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm, added to a shortcut."""

    def __init__(self, channels: int, filters: int, *, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(filters, filters, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.relu2 = nn.ReLU()
        if stride == 1:
            self.shortcut: nn.Module = IdentityShortcut(filters)
        elif shortcut == "padding":
            self.shortcut = PaddedShortcut(channels, filters - channels)
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, filters, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, features_nchw: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, filters, ceil(h / stride), ceil(w / stride))."""
        residual = self.relu1(self.bn1(self.conv1(features_nchw)))
        return self.relu2(self.bn2(self.conv2(residual)) + self.shortcut(features_nchw))


class CifarResNet(nn.Module):
    """A residual network of 6 n + 2 layers in three segments."""

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        depth: int,
        width: int,
        shortcut: str,
        width_factor: float,
    ) -> None:
        super().__init__()
        if shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut {shortcut!r}: expected one of {', '.join(SHORTCUTS)}")
        if width < 1:
            raise ValueError(f"width {width}: expected at least 1 filter")
        blocks_per_segment = (depth - 2) // 6
        channels = scaled(width, width_factor)
        self.conv = nn.Conv2d(input_shape[0], channels, kernel_size=3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        blocks: list[nn.Module] = []
        for segment in range(3):
            filters = scaled(2**segment * width, width_factor)
            for index in range(blocks_per_segment):
                stride = 2 if segment > 0 and index == 0 else 1
                blocks.append(Block(channels, filters, stride=stride, shortcut=shortcut))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        draw_weights(self, convolutions=he_fan_in, linear=he_fan_in)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        features = self.blocks(self.relu(self.bn(self.conv(images_nchw))))
        return self.classifier(self.avgpool(features).flatten(1))


def _factory(depth: int, default_width: int) -> Callable[..., CifarResNet]:
    def cifar_resnet(
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        width: int = default_width,
        shortcut: str = "projection",
        weights: str | None = None,
        width_factor: float = 1.0,
    ) -> CifarResNet:
        model = CifarResNet(
            input_shape=input_shape,
            num_classes=num_classes,
            depth=depth,
            width=width,
            shortcut=shortcut,
            width_factor=width_factor,
        )
        return with_weights(model, weights)

    return cifar_resnet


resnet20, wide_resnet20 = _factory(20, 16), _factory(20, 32)
resnet32, wide_resnet32 = _factory(32, 16), _factory(32, 32)
resnet44, wide_resnet44 = _factory(44, 16), _factory(44, 32)
resnet56, wide_resnet56 = _factory(56, 16), _factory(56, 32)
resnet110, wide_resnet110 = _factory(110, 16), _factory(110, 32)
resnet1202, wide_resnet1202 = _factory(1202, 16), _factory(1202, 32)
