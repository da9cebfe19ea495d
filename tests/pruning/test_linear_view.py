"""The positive linear network behind a network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pruning.linear_view import to_linear_view
from pruning.prunable import prunable_weights
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


MEASURING = [
    nn.GroupNorm(2, 6),
    nn.LayerNorm([6, 4, 4]),
    nn.LayerNorm([4]),
    nn.LayerNorm([4], elementwise_affine=False),
    nn.RMSNorm([4, 4]),
    nn.InstanceNorm2d(6),
    nn.InstanceNorm2d(6, affine=True),
    nn.BatchNorm2d(6, track_running_stats=False),
]


@pytest.mark.parametrize("norm", MEASURING, ids=str)
def test_a_normalisation_that_measures_its_input_becomes_a_positive_scale(norm: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), copy.deepcopy(norm), nn.ReLU()).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    gamma = next((p.detach().abs().clone() for n, p in model[1].named_parameters() if n == "weight"), torch.ones(1))
    if isinstance(norm, nn.GroupNorm | nn.InstanceNorm2d | nn.BatchNorm2d):
        gamma = gamma.view(-1, 1, 1)
    to_linear_view(model)
    images = torch.rand(2, 2, 4, 4, dtype=torch.float64)
    eps = getattr(norm, "eps", None) or 0.0
    expected = model[0](images) * gamma / (1 + eps) ** 0.5
    torch.testing.assert_close(model(images), expected, rtol=1e-14, atol=0)
    assert bool((model(images) > 0).all())


def test_instance_norm_with_running_statistics_keeps_its_scale() -> None:
    norm = nn.InstanceNorm2d(1, eps=0.0, affine=True, track_running_stats=True)
    with torch.no_grad():
        norm.weight.fill_(-6.0)
        norm.running_mean.fill_(5.0)
        norm.running_var.fill_(4.0)
    to_linear_view(norm)
    assert norm(torch.ones(1, 1, 2, 2)).unique().tolist() == [3.0]


def test_a_normalisation_with_a_forward_pass_of_its_own_is_refused_by_name() -> None:
    class ChannelsLast(nn.LayerNorm):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.movedim(1, -1)).movedim(-1, 1)

    model = nn.Sequential(nn.Sequential(nn.Conv2d(1, 6, 3), ChannelsLast(6)), nn.ReLU())
    with pytest.raises(ValueError, match=r"0\.1 is a ChannelsLast, .* Use LayerNorm itself, or BatchNorm"):
        to_linear_view(model)


def test_attention_biases_are_offsets_too() -> None:
    attention = nn.MultiheadAttention(4, 2)
    with torch.no_grad():
        attention.in_proj_bias.fill_(-1.0)
    to_linear_view(attention)
    assert not attention.in_proj_bias.any()
    assert bool((prunable_weights(attention)["out_proj.weight"] >= 0).all())


@pytest.mark.parametrize("clipped", [nn.ReLU6(), nn.Hardtanh(0.0, 1.0)], ids=str)
def test_flow_is_not_clipped(clipped: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(1, 1), clipped)
    to_linear_view(model)
    assert model(torch.full((1, 1), 1e6)).item() == pytest.approx(1e6 * model[0].weight.item(), rel=1e-6)
