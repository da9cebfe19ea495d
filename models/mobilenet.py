"""MobileNet-V2 (Sandler et al. 2018): depthwise convolutions and linear bottlenecks, in three forms.

imagenet        torchvision's, name for name and shape for shape, so that its weights load: positions shrink 32 times.
tiny_imagenet   the stem has stride 1: 16 times.
cifar           the stem and the second stage have stride 1: 8 times, so that 32x32 ends at 4x4.

Initial weights as torchvision's: He's law, fan-out, for convolutions and N(0, 0.01^2) for the classifier.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.forms import chosen_form
from models.initial_law import draw_weights, he_fan_out, normal_hundredth
from models.weights import with_weights
from models.width import scaled

# Paper, table 2: expansion, filters, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _convolution(channels: int, filters: int, kernel_size: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel_size, stride, (kernel_size - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project by 1x1 without activation; add the input if shapes allow."""

    def __init__(self, channels: int, filters: int, *, stride: int, expansion: int, has_shortcut: bool) -> None:
        super().__init__()
        inner = channels * expansion
        layers: list[nn.Module] = [_convolution(channels, inner, 1)] if expansion != 1 else []
        layers += [
            _convolution(inner, inner, 3, stride=stride, groups=inner),
            nn.Conv2d(inner, filters, kernel_size=1, bias=False),
            nn.BatchNorm2d(filters),
        ]
        self.conv = nn.Sequential(*layers)
        self.has_shortcut = has_shortcut

    def forward(self, features_nchw: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, filters, ceil(h / stride), ceil(w / stride))."""
        projected = self.conv(features_nchw)
        return features_nchw + projected if self.has_shortcut else projected


class MobileNetV2(nn.Module):
    """A stem, seventeen inverted residual blocks, a 1x1 convolution to 1280 channels, one linear classifier."""

    def __init__(self, *, input_shape: tuple[int, int, int], num_classes: int, form: str, width_factor: float) -> None:
        super().__init__()
        channels, last = scaled(32, width_factor), scaled(1280, width_factor)
        features: list[nn.Module] = [_convolution(input_shape[0], channels, 3, stride=2 if form == "imagenet" else 1)]
        for stage, (expansion, published_filters, num_blocks, published_stride) in enumerate(_STAGES):
            filters = scaled(published_filters, width_factor)
            stride = 1 if form == "cifar" and stage == 1 else published_stride
            for index in range(num_blocks):
                block_stride = stride if index == 0 else 1
                features.append(
                    InvertedResidual(
                        channels, filters, stride=block_stride, expansion=expansion, has_shortcut=index > 0
                    )
                )
                channels = filters
        self.features = nn.Sequential(*features, _convolution(channels, last, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        draw_weights(self, convolutions=he_fan_out, linear=normal_hundredth)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        return self.classifier(self.avgpool(self.features(images_nchw)).flatten(1))


def mobilenet_v2(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    form: str | None = None,
    weights: str | None = None,
    width_factor: float = 1.0,
) -> MobileNetV2:
    """The published network; its width multiplier rounds to whole channels here, not to multiples of eight."""
    model = MobileNetV2(
        input_shape=input_shape,
        num_classes=num_classes,
        form=chosen_form(form, input_shape),
        width_factor=width_factor,
    )
    return with_weights(model, weights)
