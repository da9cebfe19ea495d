"""Networks of torchvision: what is understood computes the same, what is not says why."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from benchmarks.compaction_exactness import MaskedDense
from models.torchvision_zoo import classifier
from pruning.prunable import prunable_weights
from training.compaction.compact import Compacted, NotCompacted, compact

SHAPE = (3, 64, 64)


@pytest.mark.parametrize("arch", ["alexnet", "densenet121", "googlenet", "mobilenet_v3_small", "squeezenet1_0"])
def test_logits_and_gradients_are_those_of_the_masked_network(arch: str) -> None:
    torch.manual_seed(0)
    model = classifier(input_shape=SHAPE, num_classes=10, arch=arch).double().train()
    masks = {name: torch.rand_like(weight) < 0.1 for name, weight in prunable_weights(model).items()}
    small = compact(model, masks, SHAPE)
    assert isinstance(small, Compacted)
    assert small.facts.num_units_left < small.facts.num_units
    inputs, labels = torch.randn(4, *SHAPE).double(), torch.arange(4)
    logits = []
    for network in (small.model, MaskedDense(copy.deepcopy(model), masks)):
        torch.manual_seed(1)
        logits.append(network(inputs))
        F.cross_entropy(logits[-1], labels).backward()
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-10, atol=1e-11)
    found = small.full_gradients()
    for name, parameter in network.model.named_parameters():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        # Deep and untrained, these networks amplify rounding: the bound is the whole network's largest gradient.
        torch.testing.assert_close(found[name], expected, rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    ("arch", "reason"), [("efficientnet_b0", "train and in eval mode"), ("shufflenet_v2_x0_5", "view")]
)
def test_what_is_not_understood_says_why(arch: str, reason: str) -> None:
    model = classifier(input_shape=SHAPE, num_classes=10, arch=arch)
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable_weights(model).items()}
    found = compact(model, masks, SHAPE)
    assert isinstance(found, NotCompacted)
    assert reason in found.reason
