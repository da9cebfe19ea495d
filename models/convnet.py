"""A small convolutional network with BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.width import scaled


class ConvNet(nn.Module):
    """3x3 convolutions, each with BatchNorm and ReLU, 2x2 max-pooling after the first, mean over positions, classifier.

    Convolutions have no bias (BatchNorm supplies it); weights are drawn from He's normal law (fan-in).
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        widths: Sequence[int] = (16, 32, 32),
        width_factor: float = 1.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = input_shape[0]
        for index, width in enumerate(scaled(one, width_factor) for one in widths):
            layers += [
                nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            if index == 0:
                layers.append(nn.MaxPool2d(2))
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        return self.classifier(self.features(images_nchw).mean((2, 3)))
