"""Tensors that carry a power of two, so that the flow through a network of any depth stays inside the float range.

In the linear view of a network every activation is a positive linear function of the input, and its size grows or
shrinks by a factor a block: ResNet-1202's flow is far beyond 1e308. A `Scaled` tensor stands for value x 2^exponent.
Each operation works on the value alone; where the values leave a middle range, a power of two moves into the exponent;
where two tensors meet (a residual sum, a concatenation), the smaller exponent is brought to the larger. So the result
is the true one times one known power of two, on every path alike, and so is every gradient of it: scaling by a power
of two is exact, hence mantissas, ranking and ties are those of arithmetic without limits. What is lost is only what
lies some 2^700 below the tensor that it is added to.

This is right for operations that scale with their inputs, the only ones there are in a linear view. Any other function
is let through while no exponent is in play and refused, by its name, as soon as one is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_LINEAR = {
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "batch_norm"),
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("mean", "sum", "interpolate", "fold", "mul", "__mul__", "__rmul__", "mul_", "__imul__", "matmul", "__matmul__"),
}
"""Functions that scale with their one scaled input and may change its size."""

_SELECTION = {
    *("relu", "relu_", "leaky_relu", "leaky_relu_", "dropout", "dropout1d", "dropout2d", "dropout3d"),
    *("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
    *("flatten", "unflatten", "view", "reshape", "permute", "transpose", "movedim", "squeeze", "unsqueeze", "expand"),
    *("contiguous", "clone", "detach", "to", "amax", "max", "narrow", "select", "index_select", "__getitem__"),
    *("chunk", "split", "tensor_split", "unbind", "roll", "flip", "unfold", "pixel_shuffle", "channel_shuffle"),
    *("__get__", "zeros_like", "new_zeros"),
}
"""Functions that scale with their one scaled input and never enlarge it, so that nothing has to be measured."""

_PLACE_OF_OFFSET = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), 2),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 2),
    "batch_norm": 4,
}
"""Where functions take the offset that they add, by position or as `bias`: it has to meet the input's exponent."""

_IN_PLACE_SUM = {"add_", "__iadd__", "sub_", "__isub__"}

_SUM = {"add", "__add__", "__radd__", "sub", "__sub__", *_IN_PLACE_SUM}

_MEETING = {*_SUM, "cat", "concat", "stack", "hstack", "vstack", "maximum", "where", "index_copy"}
"""Functions that scale with their inputs together, constants included."""


class Scaled(Tensor):
    """A tensor that stands for itself times 2^exponent."""

    exponent: int = 0

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute on the values, and give the result the exponent that makes it true."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        scaled = _scaled_in((args, kwargs))
        exponent = max((tensor.exponent for tensor in scaled), default=0)
        if name in _MEETING and any(tensor.exponent for tensor in scaled):
            if name in _IN_PLACE_SUM:
                exponent = getattr(args[0], "exponent", 0)  # the tensor that is written to keeps its own
            args, kwargs = _aligned(args, exponent), _aligned(kwargs, exponent)
        if exponent and name in _PLACE_OF_OFFSET:
            args, kwargs = _with_offset_scaled(args, kwargs, _PLACE_OF_OFFSET[name], -exponent)
        result = super().__torch_function__(func, types, args, kwargs)
        outputs = [tensor for tensor in _scaled_in(result) if tensor.is_floating_point()]
        if outputs and exponent:
            _refuse_unless_linear(name, args, scaled)
        for tensor in outputs:
            tensor.exponent = exponent
        if name in _SELECTION:
            return result
        return _normalised(result)


def scaled(tensor: Tensor, exponent: int = 0) -> Scaled:
    """`tensor` times 2^exponent."""
    with torch._C.DisableTorchFunctionSubclass():
        result = tensor.as_subclass(Scaled)
    result.exponent = exponent
    return _normalised(result)


def value_and_exponent(tensor: Tensor) -> tuple[Tensor, int]:
    """The plain tensor, differentiable, and the exponent that it carries."""
    exponent = tensor.exponent if isinstance(tensor, Scaled) else 0
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Tensor), exponent


def times_power_of_two(tensor: Tensor, exponent: int) -> Tensor:
    """Times 2^exponent: exact wherever the result lies in the dtype's normal range."""
    if exponent == 0:
        return tensor
    step = _num_exponents(tensor.dtype) * 3 // 4  # a larger power is itself out of range
    with torch._C.DisableTorchFunctionSubclass():
        while abs(exponent) > step:
            tensor = tensor * 2.0 ** math.copysign(step, exponent)
            exponent -= int(math.copysign(step, exponent))
        return tensor * 2.0**exponent


def fits(total: Tensor, exponent: int) -> bool:
    """Whether the number `total` x 2^exponent, and numbers well below it, are within the dtype's range."""
    value = float(total.detach())
    if value == 0 or not math.isfinite(value):
        return True
    size = math.frexp(value)[1] + exponent
    limit = _num_exponents(total.dtype)
    return -limit // 2 <= size <= limit - 24


def _num_exponents(dtype: torch.dtype) -> int:
    """Powers of two up to the largest number: 1024 in float64, 128 in float32."""
    return math.frexp(torch.finfo(dtype).max)[1]


def _scaled_in(tree: Any) -> list[Scaled]:
    if isinstance(tree, Scaled):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, list | tuple):
        return []
    return [tensor for branch in tree for tensor in _scaled_in(branch)]


def _with_offset_scaled(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: int, exponent: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(kwargs.get("bias"), Tensor):
        kwargs = kwargs | {"bias": times_power_of_two(kwargs["bias"], exponent)}
    elif len(args) > place and isinstance(args[place], Tensor):
        args = (*args[:place], times_power_of_two(args[place], exponent), *args[place + 1 :])
    return args, kwargs


def _aligned(tree: Any, exponent: int) -> Any:
    """`tree` with every floating tensor brought to `exponent`; a tensor without one is a constant, 2^0 times itself."""
    if isinstance(tree, Tensor):
        with torch._C.DisableTorchFunctionSubclass():
            if not tree.is_floating_point():
                return tree
            own = tree.exponent if isinstance(tree, Scaled) else 0
            return times_power_of_two(tree, own - exponent).as_subclass(Scaled) if own != exponent else tree
    if isinstance(tree, dict):
        return {key: _aligned(branch, exponent) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_aligned(branch, exponent) for branch in tree)
    return tree


def _normalised(tree: Any) -> Any:
    if isinstance(tree, list | tuple):
        return type(tree)(_normalised(branch) for branch in tree)
    if not isinstance(tree, Scaled) or not tree.is_floating_point() or tree.numel() == 0:
        return tree
    with torch._C.DisableTorchFunctionSubclass():
        largest = float(torch.linalg.vector_norm(tree.detach(), ord=math.inf))
        shift = math.frexp(largest)[1] if 0 < largest < math.inf else 0
        if abs(shift) <= _num_exponents(tree.dtype) // 4:
            return tree
        smaller = times_power_of_two(tree, -shift).as_subclass(Scaled)
    smaller.exponent = tree.exponent + shift
    return smaller


def _refuse_unless_linear(name: str, args: tuple[Any, ...], inputs: list[Scaled]) -> None:
    if name in _SUM:  # a tensor was aligned; a number was not
        linear = not any(isinstance(value, int | float) and value != 0 for value in args)
    elif name in ("div", "__truediv__"):
        linear = len(inputs) == 1 and inputs[0] is args[0]
    elif name == "pad":
        linear = len(args) < 4 or not args[3]  # the value that is padded with
    else:
        linear = name in _SELECTION or name in _MEETING or (name in _LINEAR and len(inputs) == 1)
    if not linear:
        raise ValueError(
            f"the flow through this network leaves the float range, and {name}() does not scale with its input: "
            "a power of two cannot be taken through it"
        )
