"""Operations on each unit by itself: activations, pooling, and dropout."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from training.compaction.operations.contract import Operation, Part
from training.compaction.parts import FullShapeDropout, concatenated

if TYPE_CHECKING:
    from training.compaction.build import Builder


class Facts(NamedTuple):
    """What happens at exactly zero."""

    keeps_zero: bool
    """f(0) = 0."""
    stops_gradient: bool
    """f'(0) = 0 in torch's convention."""


_GATE, _ODD, _OFFSET = Facts(True, True), Facts(True, False), Facts(False, False)

MODULES: dict[type[nn.Module], Facts] = {
    **dict.fromkeys((nn.ReLU, nn.ReLU6), _GATE),
    **dict.fromkeys(
        (nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Tanh, nn.Softsign), _ODD
    ),
    **dict.fromkeys((nn.Sigmoid, nn.Hardsigmoid, nn.Softplus), _OFFSET),
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Identity), _ODD),
}
FUNCTIONS: dict[Callable[..., Any], Facts] = {
    **dict.fromkeys((torch.relu, F.relu, F.relu6), _GATE),
    **dict.fromkeys((F.leaky_relu, F.elu, F.gelu, F.silu, F.hardswish, torch.tanh, F.tanh), _ODD),
    **dict.fromkeys((torch.sigmoid, F.sigmoid, F.hardsigmoid), _OFFSET),
    **dict.fromkeys((F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d), _ODD),
}
METHODS: dict[str, Facts] = {"relu": _GATE, "tanh": _ODD, "sigmoid": _OFFSET, "contiguous": _ODD, "mean": _ODD}
"""`mean` over positions only."""


class Unitwise(Operation):
    """A module or function that treats every unit alike and by itself."""

    def __init__(
        self, node: fx.Node, sources: list[fx.Node], shape: tuple[int, ...], facts: Facts, module: nn.Module | None
    ) -> None:
        super().__init__(node, sources, shape)
        self.facts = facts
        self.module = module
        self.stops_gradient_at_zero = facts.keeps_zero and facts.stops_gradient

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """Zero of zero, where the function says so."""
        return zero_in[0] if self.facts.keeps_zero else torch.zeros_like(zero_in[0])

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Unit by unit."""
        return [out]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """Unit by unit."""
        return [wanted]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """The same call on what is there."""
        if not wanted.any():
            return None
        source = build.shape_of(self.sources[0])
        part = build.few(parts[0], wanted.nonzero().flatten(), source[1:])
        overwrite = part.is_fresh and part.varies and build.has_one_reader(self.sources[0])
        if isinstance(self.module, nn.Identity):
            return replace(part, is_fresh=overwrite)
        if self.module is not None:
            module = copy.deepcopy(self.module)
            if hasattr(module, "inplace"):
                module.inplace = overwrite  # type: ignore[assignment]
            node = build.module(str(self.node.target), module, part.node)
        elif self.node.target in (torch.relu, F.relu, "relu"):
            node = build.call(torch.relu_ if overwrite else torch.relu, part.node)
        else:
            kwargs = {key: value for key, value in self.node.kwargs.items() if key not in ("input", "inplace")}
            arguments = (part.node, *self.node.args[1:])
            node = build.graph.create_node(self.node.op, self.node.target, arguments, kwargs)
        return Part(node, part.units, part.varies)


class Dropout(Unitwise):
    """Dropout: draws for the full tensor, so that both networks use one generator alike."""

    def __init__(self, node: fx.Node, sources: list[fx.Node], shape: tuple[int, ...], module: nn.Dropout) -> None:
        super().__init__(node, sources, shape, _ODD, module)
        self.probability = module.p

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """Differs from image to image even where its input does not. Where nothing is left it still draws."""
        part = build.few(parts[0], wanted.nonzero().flatten(), self.shape[1:])
        full = build.call(concatenated, [part.node], build.num_images)
        module = FullShapeDropout(self.probability, self.shape)
        node = build.module(str(self.node.target), module, full, build.buffer(part.units))
        return Part(node, part.units, varies=True)
