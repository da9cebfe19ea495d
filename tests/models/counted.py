"""Parameters of every model, as literals, each with where the number comes from.

`source` names a published number that agrees (rounded as published there), or says that it was counted by hand from the
layers that the source lists. Prunable weights are those of convolutions and linear layers, without biases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from training.build import build_model
from training.config import ModelConfig, options_text

DIGITS, MNIST, CIFAR, TINY, IMAGENET = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 224)

HAND = "by hand"
TORCHVISION = "torchvision's own count"
SYNFLOW = "prunable: SynFlow authors' layers and result files"
HE = "He et al. 2016, section 4.2: 0.27, 0.46, 0.66, 0.85, 1.7, 19.4 M"
KUANGLIU = "widely used CIFAR variant (3x3 stem), e.g. kuangliu/pytorch-cifar"
WRN = "Zagoruyko and Komodakis 2016"


@dataclass(frozen=True)
class Case:
    """One network and what is in it."""

    name: str
    shape: tuple[int, int, int]
    num_classes: int
    prunable: int
    layers: int
    parameters: int
    source: str
    options: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        options = "-".join(str(value) for value in self.options.values())
        return f"{self.name}{f'[{options}]' if options else ''}@{self.shape[1]}/{self.num_classes}"

    def build(self, seed: int = 0) -> nn.Module:
        """The network, initial weights drawn from `seed`."""
        config = ModelConfig(name=self.name, options=options_text(self.options))
        return build_model(config, input_shape=self.shape, num_classes=self.num_classes, init_seed=seed)


PADDING: dict[str, object] = {"shortcut": "padding"}

COUNTED: list[Case] = [
    Case("mlp", DIGITS, 10, 64 * 500 + 500 * 500 + 500 * 10, 3, 287_000 + 500 + 500 + 10, HAND),
    Case("mlp", MNIST, 10, 235_200 + 30_000 + 1_000, 3, 266_200 + 410, HAND, {"widths": [300, 100]}),
    Case("mlp", (3, 2, 2), 4, 48, 1, 52, HAND, {"widths": []}),
    Case("convnet", DIGITS, 10, 144 + 4_608 + 9_216 + 320, 4, 14_288 + 2 * (16 + 32 + 32) + 10, HAND),
    Case("convnet", (3, 6, 6), 5, 54 + 54 + 15, 3, 123 + 2 * 5 + 5, HAND, {"widths": [2, 3]}),
    Case("fc", MNIST, 10, 78_400 + 4 * 10_000 + 1_000, 6, 119_400 + 510, HAND),
    Case("conv", MNIST, 10, 288 + 9_216 + 250_880, 3, 260_384 + 74, HAND),
    Case("lenet_300_100", MNIST, 10, 266_200, 3, 266_610, "Han et al. 2015, table 1: 267 K"),
    Case("lenet5", MNIST, 10, 430_500, 4, 431_080, "Han et al. 2015, table 1: 431 K"),
    Case("conv2", CIFAR, 10, 4_300_992, 5, 4_301_642, "Frankle and Carbin 2019, figure 2: 4.3 M"),
    Case("conv4", CIFAR, 10, 2_425_024, 7, 2_425_930, "Frankle and Carbin 2019, figure 2: 2.4 M"),
    # Figure 2 prints 1.7 M in all but 1.1 M in convolutions, as here (1,144,512): the layers it lists make 2.3 M.
    Case("conv6", CIFAR, 10, 1_144_512 + 1_048_576 + 65_536 + 2_560, 9, 2_262_602, HAND),
    Case("vgg11", CIFAR, 100, 9_268_928, 9, 9_268_928 + 2_752 + 100, SYNFLOW),
    Case("vgg13", CIFAR, 100, 9_453_248, 11, 9_453_248 + 2_944 + 100, SYNFLOW),
    Case("vgg16", CIFAR, 100, 14_761_664, 14, 14_761_664 + 4_224 + 100, SYNFLOW),
    Case("vgg19", CIFAR, 100, 20_070_080, 17, 20_070_080 + 5_504 + 100, SYNFLOW),
    Case("vgg11_bn", CIFAR, 100, 9_268_928, 9, 9_268_928 + 2 * 2_752 + 100, SYNFLOW),
    Case("vgg13_bn", CIFAR, 100, 9_453_248, 11, 9_453_248 + 2 * 2_944 + 100, SYNFLOW),
    Case("vgg16_bn", CIFAR, 100, 14_761_664, 14, 14_761_664 + 2 * 4_224 + 100, SYNFLOW),
    Case("vgg19_bn", CIFAR, 100, 20_070_080, 17, 20_070_080 + 2 * 5_504 + 100, SYNFLOW),
    Case("vgg11", TINY, 200, 9_217_728 + 3_350_528, 11, 12_568_256 + 2_752 + 2_248, SYNFLOW),
    Case("vgg13", TINY, 200, 9_402_048 + 3_350_528, 13, 12_752_576 + 2_944 + 2_248, SYNFLOW),
    Case("vgg16", TINY, 200, 14_710_464 + 3_350_528, 16, 18_060_992 + 4_224 + 2_248, SYNFLOW),
    Case("vgg19", TINY, 200, 20_018_880 + 3_350_528, 19, 23_369_408 + 5_504 + 2_248, SYNFLOW),
    Case("vgg11_bn", TINY, 200, 9_217_728 + 3_350_528, 11, 12_568_256 + 2 * 2_752 + 2_248, SYNFLOW),
    Case("vgg13_bn", TINY, 200, 9_402_048 + 3_350_528, 13, 12_752_576 + 2 * 2_944 + 2_248, SYNFLOW),
    Case("vgg16_bn", TINY, 200, 14_710_464 + 3_350_528, 16, 18_060_992 + 2 * 4_224 + 2_248, SYNFLOW),
    Case("vgg19_bn", TINY, 200, 20_018_880 + 3_350_528, 19, 23_369_408 + 2 * 5_504 + 2_248, SYNFLOW),
    Case("vgg11", IMAGENET, 1000, 132_851_392, 11, 132_863_336, TORCHVISION),
    Case("vgg13", IMAGENET, 1000, 133_035_712, 13, 133_047_848, TORCHVISION),
    Case("vgg16", IMAGENET, 1000, 138_344_128, 16, 138_357_544, TORCHVISION),
    Case("vgg19", IMAGENET, 1000, 143_652_544, 19, 143_667_240, TORCHVISION),
    Case("vgg11_bn", IMAGENET, 1000, 132_851_392, 11, 132_868_840, TORCHVISION),
    Case("vgg13_bn", IMAGENET, 1000, 133_035_712, 13, 133_053_736, TORCHVISION),
    Case("vgg16_bn", IMAGENET, 1000, 138_344_128, 16, 138_365_992, TORCHVISION),
    Case("vgg19_bn", IMAGENET, 1000, 143_652_544, 19, 143_678_248, TORCHVISION),
    Case("resnet20", CIFAR, 10, 268_336, 20, 269_722, HE, PADDING),
    Case("resnet32", CIFAR, 10, 461_872, 32, 464_154, HE, PADDING),
    Case("resnet44", CIFAR, 10, 655_408, 44, 658_586, HE, PADDING),
    Case("resnet56", CIFAR, 10, 848_944, 56, 853_018, HE, PADDING),
    Case("resnet110", CIFAR, 10, 1_719_856, 110, 1_727_962, HE, PADDING),
    Case("resnet1202", CIFAR, 10, 19_331_632, 1202, 19_421_274, HE, PADDING),
    # Two projections, 16 x 32 and 32 x 64, with BatchNorm: 2,560 weights and 192 more than with padding.
    Case("resnet20", CIFAR, 10, 268_336 + 2_560, 22, 269_722 + 2_752, HAND),
    Case("resnet32", CIFAR, 10, 461_872 + 2_560, 34, 464_154 + 2_752, HAND),
    Case("resnet44", CIFAR, 10, 655_408 + 2_560, 46, 658_586 + 2_752, HAND),
    Case("resnet56", CIFAR, 10, 848_944 + 2_560, 58, 853_018 + 2_752, HAND),
    Case("resnet110", CIFAR, 10, 1_719_856 + 2_560, 112, 1_727_962 + 2_752, HAND),
    Case("resnet1202", CIFAR, 10, 19_331_632 + 2_560, 1204, 19_421_274 + 2_752, HAND),
    # Four times the narrow ones' 3x3 and 1x1 weights, twice their stem and classifier; checked as such below.
    Case("wide_resnet20", CIFAR, 10, 1_081_440, 22, 1_084_586, HAND),
    Case("wide_resnet32", CIFAR, 10, 1_855_584, 34, 1_860_522, HAND),
    Case("wide_resnet44", CIFAR, 10, 2_629_728, 46, 2_636_458, HAND),
    Case("wide_resnet56", CIFAR, 10, 3_403_872, 58, 3_412_394, HAND),
    Case("wide_resnet110", CIFAR, 10, 6_887_520, 112, 6_904_106, HAND),
    Case("wide_resnet1202", CIFAR, 10, 77_334_624, 1204, 77_514_282, HAND),
    Case("resnet18", CIFAR, 10, 11_164_352, 21, 11_173_962, KUANGLIU),
    Case("resnet34", CIFAR, 10, 21_265_088, 37, 21_282_122, KUANGLIU),
    Case("resnet50", CIFAR, 10, 23_467_712, 54, 23_520_842, KUANGLIU),
    Case("resnet101", CIFAR, 10, 42_407_616, 105, 42_512_970, KUANGLIU),
    Case("resnet152", CIFAR, 10, 58_005_184, 156, 58_156_618, KUANGLIU),
    # The SynFlow authors count 11,272,456: their identity shortcuts hold 1,024 more, masked but not pruned.
    Case("resnet18", TINY, 200, 11_261_632, 21, 11_272_456 - 1_024, SYNFLOW),
    Case("resnet18", IMAGENET, 1000, 11_678_912, 21, 11_689_512, TORCHVISION),
    Case("resnet34", IMAGENET, 1000, 21_779_648, 37, 21_797_672, TORCHVISION),
    Case("resnet50", IMAGENET, 1000, 25_502_912, 54, 25_557_032, TORCHVISION),
    Case("resnet101", IMAGENET, 1000, 44_442_816, 105, 44_549_160, TORCHVISION),
    Case("resnet152", IMAGENET, 1000, 60_040_384, 156, 60_192_808, TORCHVISION),
    Case("wide_resnet18", IMAGENET, 1000, 45_597_888, 22, 45_618_216, f"{WRN}, ImageNet, width 2: 45.6 M"),
    Case("wide_resnet34", IMAGENET, 1000, 86_000_832, 38, 86_036_008, f"{WRN}, ImageNet, width 2: 86.0 M"),
    Case("wide_resnet50", IMAGENET, 1000, 68_814_016, 54, 68_883_240, TORCHVISION),
    Case("wide_resnet101", IMAGENET, 1000, 126_747_840, 105, 126_886_696, TORCHVISION),
    Case("wide_resnet152", IMAGENET, 1000, 174_458_048, 156, 174_658_344, HAND),
    Case("wide_resnet18", CIFAR, 10, 44_576_448, 22, 44_595_786, HAND),
    Case("wide_resnet18", TINY, 200, 44_771_008, 22, 44_790_536, HAND),
    Case("wrn16_4", CIFAR, 10, 2_745_264, 17, 2_748_890, f"{WRN}: 2.7 M"),
    Case("wrn16_8", CIFAR, 10, 10_954_160, 17, 10_961_370, f"{WRN}: 11.0 M"),
    Case("wrn22_8", CIFAR, 10, 17_147_312, 23, 17_158_106, f"{WRN}: 17.2 M"),
    Case("wrn28_10", CIFAR, 10, 36_461_232, 29, 36_479_194, f"{WRN}: 36.5 M"),
    Case("wrn40_1", CIFAR, 10, 561_200, 40, 563_930, f"{WRN}: 0.6 M"),
    Case("wrn40_2", CIFAR, 10, 2_238_128, 41, 2_243_546, f"{WRN}: 2.2 M"),
    Case("wrn40_4", CIFAR, 10, 8_938_416, 41, 8_949_210, f"{WRN}: 8.9 M"),
    Case("mobilenet_v2", CIFAR, 10, 2_202_560, 53, 2_236_682, HAND),
    Case("mobilenet_v2", TINY, 200, 2_445_760, 53, 2_480_072, HAND),
    Case("mobilenet_v2", IMAGENET, 1000, 3_469_760, 53, 3_504_872, TORCHVISION),
    Case("torchvision", IMAGENET, 1000, 1_231_552, 26, 1_235_496, TORCHVISION, {"arch": "squeezenet1_1"}),
]

# Built with real weights, one or two a family and every form: what needs numbers is tested on these.
MEASURED: list[Case] = [
    *(case for case in COUNTED if case.prunable < 1_200_000 and case.layers < 60 and case.name != "torchvision"),
    Case("conv6", CIFAR, 10, 0, 0, 0, HAND),
    Case("vgg11", CIFAR, 10, 0, 0, 0, HAND),
    Case("vgg16_bn", CIFAR, 100, 0, 0, 0, HAND),
    Case("vgg11_bn", TINY, 200, 0, 0, 0, HAND),
    Case("resnet18", CIFAR, 10, 0, 0, 0, HAND),
    Case("resnet50", TINY, 10, 0, 0, 0, HAND, {"form": "imagenet"}),
    Case("wrn16_4", CIFAR, 10, 0, 0, 0, HAND),
    Case("mobilenet_v2", CIFAR, 10, 0, 0, 0, HAND),
    Case("mobilenet_v2", TINY, 10, 0, 0, 0, HAND, {"form": "imagenet"}),
    Case("torchvision", TINY, 10, 0, 0, 0, HAND, {"arch": "squeezenet1_1"}),
]
