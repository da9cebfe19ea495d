"""The models that ship, by name. Nothing here imports torch: a class is loaded when a trial needs it.

A new model is one file beside this one and one entry here. A user's own is `package.module:factory` in a sweep file:
anything that can be called as `factory(input_shape=(c, h, w), num_classes=n, **options)` and returns a module.
Forms, parameter counts and deviations from the sources: docs/models.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model family member and what can be asked of it."""

    target: str
    """"module:Class"."""
    summary: str
    source: str
    options: tuple[str, ...] = ()
    """Names of the constructor's arguments besides input_shape and num_classes."""

    @property
    def family(self) -> str:
        """The file that holds the model: vgg for every VGG."""
        return self.target.partition(":")[0].rpartition(".")[2]


MODELS: dict[str, ModelEntry] = {
    "mlp": ModelEntry(
        target="models.mlp:MLP",
        summary="fully connected, ReLU; hidden layers of given widths (500, 500)",
        source="LeNet-300-100's family (LeCun et al. 1998)",
        options=("widths", "width_factor"),
    ),
    "convnet": ModelEntry(
        target="models.convnet:ConvNet",
        summary="3x3 convolutions with BatchNorm and ReLU, pooled once, one linear classifier; widths (16, 32, 32)",
        source="a small VGG (Simonyan and Zisserman 2015)",
        options=("widths", "width_factor"),
    ),
    "fc": ModelEntry(
        target="models.plain:fc",
        summary="depth (6) linear layers, width (100), ReLU",
        source="SynFlow authors' code",
        options=("depth", "width", "weights", "width_factor"),
    ),
    "conv": ModelEntry(
        target="models.plain:conv",
        summary="depth - 1 (2) 3x3 convolutions, width (32), ReLU, no BatchNorm or pooling, one linear classifier",
        source="SynFlow authors' code",
        options=("depth", "width", "weights", "width_factor"),
    ),
    "lenet_300_100": ModelEntry(
        target="models.lenet:lenet_300_100",
        summary="fully connected, hidden layers of 300 and 100",
        source="LeCun et al. 1998",
        options=("weights", "width_factor"),
    ),
    "lenet5": ModelEntry(
        target="models.lenet:lenet5",
        summary="two 5x5 convolutions (20, 50), 500 hidden units, ReLU",
        source="Caffe's variant of LeCun et al. 1998, as in Han et al. 2015",
        options=("weights", "width_factor"),
    ),
}

MODELS |= {
    f"conv{depth}": ModelEntry(
        target=f"models.lenet:conv{depth}",
        summary=f"{depth} 3x3 convolutions pooled in pairs, two hidden layers of 256",
        source="Frankle and Carbin 2019",
        options=("weights", "width_factor"),
    )
    for depth in (2, 4, 6)
}

MODELS |= {
    f"vgg{depth}{suffix}": ModelEntry(
        target=f"models.vgg:vgg{depth}{suffix}",
        summary=f"VGG-{depth} {how} BatchNorm; form cifar, tiny_imagenet or imagenet, by image size",
        source="Simonyan and Zisserman 2015; forms: OpenLTH, SynFlow authors' code, torchvision",
        options=("form", "weights", "width_factor"),
    )
    for depth in (11, 13, 16, 19)
    for suffix, how in (("", "without"), ("_bn", "with"))
}

MODELS |= {
    f"{prefix}resnet{depth}": ModelEntry(
        target=f"models.cifar_resnet:{prefix}resnet{depth}",
        summary=f"three segments from width {width} on; shortcut projection (default) or padding (He's option A)",
        source="He et al. 2016, CIFAR; width 32: SynFlow authors' code",
        options=("width", "shortcut", "weights", "width_factor"),
    )
    for prefix, width in (("", 16), ("wide_", 32))
    for depth in (20, 32, 44, 56, 110, 1202)
}

MODELS |= {
    f"{prefix}resnet{depth}": ModelEntry(
        target=f"models.resnet:{prefix}resnet{depth}",
        summary=f"four stages{wide}; form cifar, tiny_imagenet (both: 3x3 stem) or imagenet, by image size",
        source=source,
        options=("form", "weights", "width_factor"),
    )
    for prefix, wide, source in (
        ("", "", "He et al. 2016; imagenet as in torchvision"),
        ("wide_", " of true double width", "Zagoruyko and Komodakis 2016"),
    )
    for depth in (18, 34, 50, 101, 152)
}

MODELS |= {
    f"wrn{depth}_{widening}": ModelEntry(
        target=f"models.wrn:wrn{depth}_{widening}",
        summary=f"WRN-{depth}-{widening}, pre-activation, for CIFAR",
        source="Zagoruyko and Komodakis 2016",
        options=("weights", "width_factor"),
    )
    for depth, widening in ((16, 4), (16, 8), (22, 8), (28, 10), (40, 1), (40, 2), (40, 4))
}

MODELS |= {
    "mobilenet_v2": ModelEntry(
        target="models.mobilenet:mobilenet_v2",
        summary="inverted residuals, depthwise convolutions; form cifar, tiny_imagenet or imagenet, by image size",
        source="Sandler et al. 2018; imagenet as in torchvision",
        options=("form", "weights", "width_factor"),
    ),
    "torchvision": ModelEntry(
        target="models.torchvision_zoo:classifier",
        summary="any classifier of torchvision.models: arch is its name there",
        source="torchvision",
        options=("arch", "weights"),
    ),
}
