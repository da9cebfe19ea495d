"""The shape of every tensor in a traced network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from training.compaction.operations.contract import NotUnderstood
from training.compaction.operations.unitwise import MODULES

_BATCH = 2


class _ShapeRecorder(fx.Interpreter):
    """Runs the graph on zeros, without the cost of its layers, and notes the shape of every result.

    Not on the meta device: its first convolution imports for seconds.
    """

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.extra_traceback = False  # appends where it was to a message, and imports for seconds to do so
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """As the interpreter does; anything but a tensor has no shape here."""
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "output":
            if result.shape[:1] != (_BATCH,):  # units of different images would be mixed up
                raise NotUnderstood(f"{n.name} makes {tuple(result.shape)} of {_BATCH} images, not one row an image")
            self.shapes[n] = tuple(result.shape[1:])
        return result

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Zeros of the shape that the module would return."""
        module = self.fetch_attr(target)
        if len(args) != 1 or kwargs or not isinstance(args[0], Tensor):
            raise NotUnderstood(f"{target} is called with more than one tensor")
        inputs: Tensor = args[0]
        if isinstance(module, nn.Linear):
            return inputs.new_zeros(*inputs.shape[:-1], module.out_features)
        if isinstance(module, nn.Conv2d):
            return inputs.new_zeros(len(inputs), module.out_channels, *_positions_after(module, inputs.shape[2:]))
        if isinstance(module, _SHAPE_KEEPING) or type(module) in MODULES.keys() - _POOLING:
            return inputs
        if type(module) in (nn.Flatten, *_POOLING):
            return module(inputs)
        raise NotUnderstood(f"{target} is a {type(module).__name__}")


_SHAPE_KEEPING = (nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout)
_POOLING = {nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d}


def _positions_after(layer: nn.Conv2d, before: tuple[int, ...]) -> list[int]:
    if layer.padding == "same":
        return list(before)
    padding = (0, 0) if isinstance(layer.padding, str) else layer.padding
    return [
        (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for size, pad, dilation, kernel, stride in zip(
            before, padding, layer.dilation, layer.kernel_size, layer.stride, strict=True
        )
    ]


@torch.no_grad()
def shapes_of(traced: fx.GraphModule, input_shape: tuple[int, ...]) -> dict[fx.Node, tuple[int, ...]]:
    """Without the batch, for images of `input_shape`. Raises NotUnderstood naming what they cannot be found for."""
    recorder = _ShapeRecorder(traced)
    like = next(traced.parameters())
    try:
        recorder.run(like.new_zeros(_BATCH, *input_shape))
    except (NotUnderstood, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a function does that it is not made for
        raise NotUnderstood(f"the shapes of its tensors cannot be found: {error}") from error
    return recorder.shapes
