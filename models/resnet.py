"""ResNet-18 to -152 (He et al. 2016), made for ImageNet, and their wide variants, in two forms.

imagenet                7x7 stem of stride 2 and max-pooling: torchvision's, name for name and shape for shape, so that
                        its weights load.
cifar, tiny_imagenet    the same four stages behind a 3x3 stem of stride 1 without pooling, as the SynFlow authors have
                        for both data sets.

Widths are true. wide_resnet18 and -34 double the filters of every block (Zagoruyko and Komodakis 2016, on ImageNet);
wide_resnet50, -101 and -152 double the inner 3x3 convolutions (torchvision's wide_resnet50_2 and 101_2). The SynFlow
authors' code ignores the width of wide_resnet18 and -34: what their paper calls WideResNet-18 has exactly the
parameters of ResNet-18.

Convolutions are drawn by He's law, fan-out; the classifier from PyTorch's default law. The last BatchNorm of a block
starts at one, not zero. Deviation from both sources: the classifier's bias starts at zero.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.forms import chosen_form
from models.initial_law import draw_weights, he_fan_out, torch_default
from models.shortcut import IdentityShortcut
from models.weights import with_weights
from models.width import scaled


class _Residual(nn.Module):
    """What both kinds of block share: the shortcut and its sum."""

    def __init__(self, channels: int, filters: int, stride: int, *, is_projected: bool) -> None:
        super().__init__()
        self.downsample: nn.Module | None = None
        if is_projected:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(filters)
            )
        else:
            self.identity = IdentityShortcut(channels)
        self.relu = nn.ReLU()

    def shortcut(self, features_nchw: Tensor) -> Tensor:
        """The input, projected where the block changes its shape."""
        return self.identity(features_nchw) if self.downsample is None else self.downsample(features_nchw)


class BasicBlock(_Residual):
    """Two 3x3 convolutions."""

    def __init__(self, channels: int, inner: int, filters: int, stride: int, *, is_projected: bool) -> None:
        super().__init__(channels, filters, stride, is_projected=is_projected)
        self.conv1 = nn.Conv2d(channels, inner, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, filters, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)

    def forward(self, features_nchw: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, filters, ceil(h / stride), ceil(w / stride))."""
        residual = self.relu1(self.bn1(self.conv1(features_nchw)))
        return self.relu(self.bn2(self.conv2(residual)) + self.shortcut(features_nchw))


class Bottleneck(_Residual):
    """A 3x3 convolution between two of 1x1; the stride is the 3x3's, as in torchvision (in He et al., the first's)."""

    def __init__(self, channels: int, inner: int, filters: int, stride: int, *, is_projected: bool) -> None:
        super().__init__(channels, filters, stride, is_projected=is_projected)
        self.conv1 = nn.Conv2d(channels, inner, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, inner, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(inner, filters, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(filters)

    def forward(self, features_nchw: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, filters, ceil(h / stride), ceil(w / stride))."""
        residual = self.relu1(self.bn1(self.conv1(features_nchw)))
        residual = self.relu2(self.bn2(self.conv2(residual)))
        return self.relu(self.bn3(self.conv3(residual)) + self.shortcut(features_nchw))


class ResNet(nn.Module):
    """A stem and four stages of residual blocks, the mean over positions, one linear classifier."""

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        widening: int,
        form: str,
        width_factor: float,
    ) -> None:
        super().__init__()
        channels = scaled(64, width_factor)
        if form == "imagenet":
            self.conv1 = nn.Conv2d(input_shape[0], channels, kernel_size=7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(input_shape[0], channels, kernel_size=3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        stages = []
        for stage, num_blocks in enumerate(blocks):
            inner = scaled(64 * 2**stage * widening, width_factor)
            filters = inner if block is BasicBlock else scaled(64 * 2**stage * 4, width_factor)
            is_projected = stage > 0 or widening > 1 or block is Bottleneck
            layers = [block(channels, inner, filters, stride=1 if stage == 0 else 2, is_projected=is_projected)]
            layers += [block(filters, inner, filters, stride=1, is_projected=False) for _ in range(num_blocks - 1)]
            stages.append(nn.Sequential(*layers))
            channels = filters
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        draw_weights(self, convolutions=he_fan_out, linear=torch_default)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images_nchw))))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        return self.fc(self.avgpool(features).flatten(1))


def _factory(
    block: type[BasicBlock] | type[Bottleneck], blocks: tuple[int, int, int, int], widening: int = 1
) -> Callable[..., ResNet]:
    def resnet(
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        form: str | None = None,
        weights: str | None = None,
        width_factor: float = 1.0,
    ) -> ResNet:
        model = ResNet(
            input_shape=input_shape,
            num_classes=num_classes,
            block=block,
            blocks=blocks,
            widening=widening,
            form=chosen_form(form, input_shape),
            width_factor=width_factor,
        )
        return with_weights(model, weights)

    return resnet


resnet18, wide_resnet18 = _factory(BasicBlock, (2, 2, 2, 2)), _factory(BasicBlock, (2, 2, 2, 2), 2)
resnet34, wide_resnet34 = _factory(BasicBlock, (3, 4, 6, 3)), _factory(BasicBlock, (3, 4, 6, 3), 2)
resnet50, wide_resnet50 = _factory(Bottleneck, (3, 4, 6, 3)), _factory(Bottleneck, (3, 4, 6, 3), 2)
resnet101, wide_resnet101 = _factory(Bottleneck, (3, 4, 23, 3)), _factory(Bottleneck, (3, 4, 23, 3), 2)
resnet152, wide_resnet152 = _factory(Bottleneck, (3, 8, 36, 3)), _factory(Bottleneck, (3, 8, 36, 3), 2)
