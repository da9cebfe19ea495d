"""VGG-11, -13, -16, -19 (Simonyan and Zisserman 2015), with and without BatchNorm, in three forms.

cifar           OpenLTH's and the SynFlow paper's: no pooling after the last stage but the mean over positions (at 32x32
                their 2x2 average), one linear classifier. He's law by fan-in throughout.
tiny_imagenet   the SynFlow authors': five max-pools, a classifier of three linear layers, half as wide as its input.
imagenet        torchvision's, name for name and shape for shape, so that its weights load.

Both latter draw convolutions by He's law, fan-out, and linear layers from N(0, 0.01^2), as their sources do.
Convolutions before BatchNorm have no bias, which BatchNorm would only subtract again; the sources have one. The
imagenet form keeps it, because torchvision's weights hold it.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.forms import chosen_form, require_side
from models.initial_law import draw_weights, he_fan_in, he_fan_out, normal_hundredth
from models.pooling import average_pooling
from models.weights import with_weights
from models.width import scaled

_FILTERS = (64, 128, 256, 512, 512)
_CONVOLUTIONS_PER_STAGE = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Stages of 3x3 convolutions with ReLU, each ended by 2x2 max-pooling, then a classifier."""

    def __init__(
        self,
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        depth: int,
        batch_norm: bool,
        form: str,
        width_factor: float,
    ) -> None:
        super().__init__()
        num_pools = 4 if form == "cifar" else 5
        require_side(f"vgg{depth} in form {form}", input_shape, 2**num_pools)
        channels, height, width = input_shape
        features: list[nn.Module] = []
        for stage, (published, repeats) in enumerate(zip(_FILTERS, _CONVOLUTIONS_PER_STAGE[depth], strict=True)):
            filters = scaled(published, width_factor)
            for _ in range(repeats):
                bias = not batch_norm or form == "imagenet"
                features.append(nn.Conv2d(channels, filters, kernel_size=3, padding=1, bias=bias))
                features += [nn.BatchNorm2d(filters)] if batch_norm else []
                features.append(nn.ReLU())
                channels = filters
            if stage < num_pools:
                features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        if form == "cifar":
            self.avgpool: nn.Module = nn.AdaptiveAvgPool2d(1)
            self.classifier: nn.Module = nn.Linear(channels, num_classes)
        elif form == "tiny_imagenet":
            num_positions = (height // 2**num_pools) * (width // 2**num_pools)
            hidden = scaled(_FILTERS[-1] * num_positions // 2, width_factor)
            self.avgpool = nn.Identity()
            self.classifier = _three_layers(channels * num_positions, hidden, num_classes)
        else:
            self.avgpool = average_pooling(7, height // 2**num_pools, width // 2**num_pools)
            self.classifier = _three_layers(channels * 7 * 7, scaled(4096, width_factor), num_classes)
        if form == "cifar":
            draw_weights(self, convolutions=he_fan_in, linear=he_fan_in)
        else:
            draw_weights(self, convolutions=he_fan_out, linear=normal_hundredth)

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        return self.classifier(self.avgpool(self.features(images_nchw)).flatten(1))


def _three_layers(size: int, hidden: int, num_classes: int) -> nn.Sequential:
    """Dropout of one half follows each hidden layer, as in the sources."""
    return nn.Sequential(
        nn.Linear(size, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, num_classes),
    )


def _factory(depth: int, *, batch_norm: bool) -> Callable[..., VGG]:
    def vgg(
        *,
        input_shape: tuple[int, int, int],
        num_classes: int,
        form: str | None = None,
        weights: str | None = None,
        width_factor: float = 1.0,
    ) -> VGG:
        model = VGG(
            input_shape=input_shape,
            num_classes=num_classes,
            depth=depth,
            batch_norm=batch_norm,
            form=chosen_form(form, input_shape),
            width_factor=width_factor,
        )
        return with_weights(model, weights)

    return vgg


vgg11, vgg11_bn = _factory(11, batch_norm=False), _factory(11, batch_norm=True)
vgg13, vgg13_bn = _factory(13, batch_norm=False), _factory(13, batch_norm=True)
vgg16, vgg16_bn = _factory(16, batch_norm=False), _factory(16, batch_norm=True)
vgg19, vgg19_bn = _factory(19, batch_norm=False), _factory(19, batch_norm=True)
