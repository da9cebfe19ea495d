"""The small network's own modules against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.compaction.operations.unitwise import FUNCTIONS, MODULES
from training.compaction.parts import ConstantBatchNorm, arrange


@pytest.mark.parametrize("num_images", [2, 7])
@pytest.mark.parametrize("positions", [(), (3, 2)])
def test_batch_norm_of_one_example_is_that_of_its_copies(num_images: int, positions: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    constant = ConstantBatchNorm(4).double()
    full = (nn.BatchNorm2d if positions else nn.BatchNorm1d)(4).double()
    for norm in (constant, full):
        nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
        nn.init.uniform_(norm.bias, generator=torch.Generator().manual_seed(2))
    for _ in range(3):
        example = torch.randn(1, 4, *positions).double()
        copies = example.expand(num_images, 4, *positions)
        torch.testing.assert_close(
            constant(example, num_images).expand_as(copies), full(copies), rtol=1e-10, atol=1e-12
        )
    torch.testing.assert_close(constant.running_mean, full.running_mean)
    torch.testing.assert_close(constant.running_var, full.running_var)
    example = torch.randn(1, 4, *positions).double()
    torch.testing.assert_close(constant.eval()(example, num_images), full.eval()(example))


def test_batch_norm_of_a_bfloat16_example_keeps_its_statistics_in_float32_as_torch_does() -> None:
    torch.manual_seed(0)
    constant, full = ConstantBatchNorm(4), nn.BatchNorm2d(4)
    for _ in range(3):
        example = torch.randn(1, 4, 3, 2).bfloat16()
        copies = example.expand(7, 4, 3, 2)
        found, expected = constant(example, 7).expand_as(copies), full(copies)
        assert found.dtype is expected.dtype is torch.bfloat16
        torch.testing.assert_close(found, expected, rtol=2**-8, atol=1e-6)  # one rounding of bfloat16
    torch.testing.assert_close(constant.running_mean, full.running_mean, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(constant.running_var, full.running_var, rtol=1e-6, atol=1e-7)


def test_batch_norm_of_a_single_value_is_refused_as_torch_refuses_it() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        ConstantBatchNorm(4)(torch.randn(1, 4), 1)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 2, 3)])
def test_arranging_picks_units_and_fills_with_zeros(shape: tuple[int, ...]) -> None:
    inputs = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    index, back = torch.tensor([1, 4, 3]), torch.tensor([3, 0, 3, 2])
    arranged = arrange(inputs, index, back, adds=True, drops=True)
    assert torch.equal(arranged[:, [0, 2]], inputs[:, [1, 3]])
    assert not arranged[:, 1].any()
    assert torch.autograd.gradcheck(lambda x: arrange(x, index, back, True, True), inputs)
    index, back = torch.tensor([1, 3]), torch.tensor([2, 0, 2, 1])
    chosen = arrange(inputs, index, back, adds=False, drops=True)
    assert torch.equal(chosen, inputs[:, [1, 3]])
    assert torch.autograd.gradcheck(lambda x: arrange(x, index, back, False, True), inputs)
    restored = arrange(chosen, back, index, adds=True, drops=False)
    assert torch.equal(restored[:, [1, 3]], inputs[:, [1, 3]])
    assert not restored[:, [0, 2]].any()
    assert torch.autograd.gradcheck(lambda x: arrange(x, back, index, True, False), chosen.detach().requires_grad_())


@pytest.mark.parametrize("facts_of", [MODULES, FUNCTIONS], ids=["modules", "functions"])
def test_the_table_of_activations_says_what_torch_does_at_zero(facts_of: dict) -> None:
    num_checked = 0
    for function, facts in facts_of.items():
        if "pool" in function.__name__.lower():
            continue
        zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        value = (function() if isinstance(function, type) else function)(zero)
        value.sum().backward()
        assert zero.grad is not None
        assert bool((value == 0).all()) == facts.keeps_zero, function
        assert bool((zero.grad == 0).all()) == facts.stops_gradient, function
        num_checked += 1
    assert num_checked >= 10
