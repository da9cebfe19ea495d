"""The positive linear network behind a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruning.linear_view import to_linear_view
from tests.pruning.networks import INPUT_SHAPE, briefly_trained, build


@pytest.mark.parametrize("network", ["mlp", "residual", "grouped", "bypassed"])
def test_the_view_is_linear_and_positive_on_positive_inputs(network: str) -> None:
    model = briefly_trained(build(network)).double()
    to_linear_view(model)
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, *INPUT_SHAPE, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(
            model(2 * first + 3 * second), 2 * model(first) + 3 * model(second), rtol=1e-12, atol=0
        )
        assert not model(torch.zeros_like(first)).any()
        assert (model(first) > 0).all()


def test_batchnorm_keeps_its_scale_and_loses_its_offsets() -> None:
    norm = nn.BatchNorm2d(2, eps=0.0).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([-6.0, 5.0]))
        norm.bias.copy_(torch.tensor([1.0, -1.0]))
        norm.running_mean.copy_(torch.tensor([-3.0, 4.0]))
        norm.running_var.copy_(torch.tensor([4.0, 25.0]))
    to_linear_view(norm)
    assert not norm.training
    output = norm(torch.ones(1, 2, 1, 1, dtype=torch.float64))
    assert output.flatten().tolist() == [3.0, 1.0]
