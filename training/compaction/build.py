"""Build the small network: each operation on the units that are wanted, in a graph of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from pruning.masks import Masks
from training.compaction.graph import Graph
from training.compaction.keep import Kept
from training.compaction.operations.contract import Part
from training.compaction.parts import arrange, zero_example

_COPY_BELOW = 0.6
"""Units are copied out of a tensor if they are a smaller part of it; above, computing them all costs less."""


@dataclass(frozen=True)
class Slot:
    """Where a tensor of the small network sits in the full one: full[index] holds the small tensor's entries."""

    small_name: str
    full_name: str
    index: tuple[Tensor, ...]


class Builder:
    """Collects the small network's graph, modules, masks and slots."""

    def __init__(self, model: nn.Module, graph: Graph, kept: Kept, *, every_layer: bool) -> None:
        self.every_layer = every_layer
        """Whether layers without a kept weight are computed all the same."""
        self.source = graph
        self.tensors = dict(model.named_parameters())
        self.masks: Masks = {}
        self.slots: list[Slot] = []
        self.modules: dict[str, Any] = {}
        self.graph = fx.Graph()
        self.images = self.graph.placeholder("images")
        self.num_images = self.graph.placeholder("num_images")
        self.output = self._build(kept)

    def _build(self, kept: Kept) -> Part:
        units = torch.arange(self.source.shapes[self.source.images][0], device=next(iter(kept.zero.values())).device)
        parts: dict[fx.Node, Part | None] = {self.source.images: Part(self.images, units, varies=True)}
        for operation in self.source.operations:
            sources = [parts[source] for source in operation.sources]
            parts[operation.node] = operation.emit(self, sources, kept.wanted[operation.node])
        logits = self.few(parts[self.source.output], kept.wanted[self.source.output].nonzero().flatten(), ())
        self.graph.output(logits.node)
        return logits

    def network(self) -> fx.GraphModule:
        """The network built so far."""
        return fx.GraphModule(self.modules, self.graph)

    def module(self, name: str, module: nn.Module, *arguments: Any) -> fx.Node:
        """Call `module` under its full network's name."""
        self.modules[name] = module
        return self.graph.call_module(name, arguments)

    def call(self, function: Callable[..., Any], *arguments: Any) -> fx.Node:
        """Call a function."""
        return self.graph.call_function(function, arguments)

    def buffer(self, tensor: Tensor) -> fx.Node:
        """A constant tensor."""
        name = f"index_{len(self.modules)}"
        self.modules[name] = tensor
        return self.graph.get_attr(name)

    def share(self, name: str, rows: Tensor, columns: Tensor | None = None, mask: Tensor | None = None) -> nn.Parameter:
        """The entries of a full parameter that the small network has, removed ones zero."""
        full = self.tensors[name].detach()
        values = full[rows] if columns is None else full[rows][:, columns]
        if mask is not None:
            values.masked_fill_(~(mask[rows] if columns is None else mask[rows][:, columns]), 0.0)
        return nn.Parameter(values, requires_grad=self.tensors[name].requires_grad)

    def slot(self, name: str, index: tuple[Tensor, ...]) -> None:
        """Remember where a tensor of the same name came from."""
        self.slots.append(Slot(name, name, index))

    def shape_of(self, node: fx.Node) -> tuple[int, ...]:
        """Shape of a full tensor without the batch."""
        return self.source.shapes[node]

    def has_one_reader(self, node: fx.Node) -> bool:
        """Whether only one operation of the full network reads a tensor."""
        return len(node.users) == 1

    def zeros(self, units: Tensor, positions: tuple[int, ...]) -> Part:
        """One example of zeros."""
        return Part(self.call(zero_example, self.images, len(units), positions), units, varies=False)

    def few(self, part: Part | None, units: Tensor, positions: tuple[int, ...], exactly: bool = False) -> Part:
        """`part` with at least `units`: a copy of them only where it has many more; zeros for those it lacks."""
        if part is None:
            return self.zeros(units, positions)
        if exactly or len(units) < _COPY_BELOW * len(part.units) or not _contains(part.units, units):
            return self.aligned(part, units)
        return part

    def select(self, part: Part, units: Tensor) -> Part:
        """`part` with some of its units only."""
        return self.aligned(part, units)

    def aligned(self, part: Part, units: Tensor) -> Part:
        """`part` with exactly `units`, in ascending order, zeros for those it lacks."""
        if torch.equal(part.units, units):
            return part
        index, back = _positions(units, part.units), _positions(part.units, units)
        adds, drops = bool((index == len(part.units)).any()), bool((back == len(units)).any())
        node = self.call(arrange, part.node, self.buffer(index), self.buffer(back), adds, drops)
        return Part(node, units, part.varies, is_fresh=True)


def _contains(have: Tensor, units: Tensor) -> bool:
    return bool((_positions(units, have) < len(have)).all())


def _positions(wanted: Tensor, have: Tensor) -> Tensor:
    """Where each of `wanted` is in the ascending `have`; one past its end for what is not there."""
    if not len(have):
        return torch.zeros_like(wanted)
    found = torch.searchsorted(have, wanted).clamp(max=len(have) - 1)
    return torch.where(have[found] == wanted, found, len(have))
