"""Our ImageNet forms are torchvision's networks, and any other of its classifiers is one option away."""

from __future__ import annotations

import pytest
import torch

from models.table import MODELS
from models.torchvision_zoo import classifier
from tests.models.counted import CIFAR, IMAGENET, MNIST, TINY, Case

torchvision = pytest.importorskip("torchvision")

OURS = {
    **{f"vgg{depth}{suffix}": f"vgg{depth}{suffix}" for depth in (11, 13, 16, 19) for suffix in ("", "_bn")},
    **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    "wide_resnet50": "wide_resnet50_2",
    "wide_resnet101": "wide_resnet101_2",
    "mobilenet_v2": "mobilenet_v2",
}


def imagenet_form(name: str, shape: tuple[int, int, int], num_classes: int) -> Case:
    return Case(name, shape, num_classes, 0, 0, 0, "", {"form": "imagenet"})


@pytest.mark.parametrize("name", OURS)
def test_the_imagenet_form_has_torchvisions_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        ours = imagenet_form(name, IMAGENET, 1000).build()
        theirs = torchvision.models.get_model(OURS[name], weights=None)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()
    }


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2"])
def test_with_torchvisions_weights_it_computes_what_torchvision_does(name: str) -> None:
    ours = imagenet_form(name, TINY, 10).build()
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(OURS[name], weights=None, num_classes=10)
    ours.load_state_dict(theirs.state_dict())
    batch = torch.randn(4, *TINY)
    torch.testing.assert_close(ours.eval()(batch), theirs.eval()(batch), rtol=1e-5, atol=1e-6)


def test_vgg_with_torchvisions_weights_computes_what_torchvision_does() -> None:
    """In its convolutional part: the classifier has 119 million weights of known arrangement."""
    ours = imagenet_form("vgg11_bn", TINY, 10)
    with torch.device("meta"):
        features = ours.build().features
        theirs = torchvision.models.vgg11_bn().features
    features, theirs = features.to_empty(device="cpu"), theirs.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    state = {
        key: torch.randn(value.shape, generator=generator).abs() * 0.05 for key, value in theirs.state_dict().items()
    }
    for module in (features, theirs):
        module.load_state_dict(state)
    batch = torch.randn(2, *TINY)
    torch.testing.assert_close(features.eval()(batch), theirs.eval()(batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arch", ["alexnet", "densenet121", "googlenet", "inception_v3", "efficientnet_b0", "vit_b_16", "maxvit_t", "swin_t"]
)
def test_any_classifier_of_torchvision_gives_one_logit_a_class(arch: str) -> None:
    with torch.device("meta"):
        model = classifier(input_shape=IMAGENET, num_classes=7, arch=arch)
    assert model.train()(torch.empty(2, *IMAGENET, device="meta")).shape == (2, 7)


def test_what_torchvision_cannot_build_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"no classifier 'resnet5': did you mean .*resnet50"):
        classifier(input_shape=CIFAR, num_classes=10, arch="resnet5")
    with pytest.raises(ValueError, match="no classifier 'fasterrcnn_resnet50_fpn'"):
        classifier(input_shape=CIFAR, num_classes=10, arch="fasterrcnn_resnet50_fpn")
    with pytest.raises(ValueError, match=r"3 channels, not 1; our own models take any"):
        classifier(input_shape=MNIST, num_classes=10, arch="resnet18")
    with pytest.raises(ValueError, match=r"square images, not 32x64"):
        classifier(input_shape=(3, 32, 64), num_classes=10, arch="vit_b_16")


def test_a_name_that_both_have_is_listed_as_ours() -> None:
    known = torchvision.models.list_models(module=torchvision.models)
    assert set(OURS.values()) <= set(known)
    assert set(OURS) <= set(MODELS)
