"""The shapes that are benchmarked: VGG for 32x32 images, with one linear classifier after average pooling."""

from __future__ import annotations

from torch import Tensor, nn

STAGES = {
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg13": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


class VGG(nn.Module):
    """3x3 convolutions of the given widths, halved between stages; 14,761,664 prunable weights for vgg16."""

    def __init__(self, stages: tuple[tuple[int, ...], ...], *, batch_norm: bool = True, num_classes: int = 100) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for index, widths in enumerate(stages):
            if index:
                layers.append(nn.MaxPool2d(2))
            for width in widths:
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width)] if batch_norm else []
                layers.append(nn.ReLU())
                channels = width
        self.features = nn.Sequential(*layers, nn.AvgPool2d(2))
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of 32x32 images (n, 3, 32, 32)."""
        return self.classifier(self.features(images_nchw).flatten(1))
