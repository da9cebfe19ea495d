"""Average pooling to a fixed size: the same as torch's adaptive one, whose gradient does not repeat on a GPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.pooling import average_pooling
from models.torchvision_zoo import classifier
from tests.models.counted import IMAGENET, TINY, Case


@pytest.mark.parametrize(("height", "width"), [(7, 7), (14, 21), (7, 28), (2, 2), (10, 7)])
def test_it_is_adaptive_pooling(height: int, width: int) -> None:
    images = torch.randn(2, 3, height, width)
    for to in (1, 7):
        torch.testing.assert_close(average_pooling(to, height, width)(images), nn.AdaptiveAvgPool2d(to)(images))


@pytest.mark.parametrize("name", ["vgg16_bn", "alexnet"])
def test_networks_at_their_own_size_have_a_gradient_that_repeats_on_a_gpu(name: str) -> None:
    """torch refuses adaptive pooling there, but for a single position: it takes the mean then."""
    networks = [classifier(input_shape=IMAGENET, num_classes=10, arch=name)]
    if name == "vgg16_bn":
        networks.append(Case(name, IMAGENET, 10, 0, 0, 0, "", {"form": "imagenet"}).build())
    for network in networks:
        pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
        assert not pools


def test_torchvisions_network_stays_what_it_was() -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    ours = classifier(input_shape=TINY, num_classes=10, arch="vgg11_bn").eval()
    torch.manual_seed(0)
    theirs = torchvision.models.vgg11_bn(num_classes=10).eval()
    assert {name: one.device.type for name, one in ours.named_buffers()} == dict.fromkeys(
        dict(theirs.named_buffers()), "cpu"
    )
    batch = torch.randn(2, *TINY)
    assert torch.equal(ours(batch), theirs(batch))
