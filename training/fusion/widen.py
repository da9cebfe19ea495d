"""The graph of small networks side by side: one operation where each of them has one.

Units of network k are block k of a wide tensor, its own first and padding after them. A convolution of K networks is
one with K groups; what treats every unit by itself stays as it is. Padded units may hold anything finite: the weights
that read them are removed (`side_by_side`), and nobody else does. What is not finite may reach other networks: kernels
multiply a neighbour's units by zero (`journeys.Diverged`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from training.compaction.parts import arrange, concatenated
from training.fusion.reading import IMAGES, Reading, Source, Step, is_number, overwriting, with_tensors
from training.fusion.stacking import stacked


@dataclass(frozen=True)
class Wide:
    """A tensor of all networks."""

    node: fx.Node
    widths: tuple[int, ...]
    """Each network's own units; blocks are as large as the largest."""
    is_shared: bool = False
    """Whether all networks read the same: there is one block."""

    @property
    def block(self) -> int:
        """Units of a block."""
        return max(self.widths)


class Linears(nn.Module):
    """Linear layers side by side: (n, K I) to (n, K O)."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None, num_networks: int) -> None:
        """`weight` is (K O, I), `bias` (K O,)."""
        super().__init__()
        self.weight = weight
        self.register_parameter("bias", bias)
        self._num_networks = num_networks

    def forward(self, inputs: Tensor) -> Tensor:
        """Block k of the inputs times block k of the weight."""
        blocks = inputs.unflatten(1, (self._num_networks, -1)).transpose(0, 1)
        products = blocks @ self.weight.unflatten(0, (self._num_networks, -1)).transpose(1, 2)
        flat = products.transpose(0, 1).flatten(1)
        return flat if self.bias is None else flat + self.bias


class Widener:
    """Builds the wide graph of networks with equal signatures."""

    def __init__(self, readings: Sequence[Reading], num_channels: int, *, shares_images: bool) -> None:
        """With `shares_images` every network sees the same batch; else it has a block of its own in (n, K c, h, w)."""
        self._readings = readings
        self._num = len(readings)
        self._device = next(readings[0].network.parameters()).device
        self._modules: dict[str, Any] = {}
        self._graph = fx.Graph()
        images = self._graph.placeholder("images")
        self._num_images = self._graph.placeholder("num_images")
        self._values = {IMAGES: Wide(images, (num_channels,) * self._num, is_shared=shares_images)}
        self._arranged: dict[tuple[fx.Node, tuple[fx.Node | None, ...]], Wide] = {}
        for number in range(len(readings[0].steps)):
            self._values[number] = self._step([reading.steps[number] for reading in readings])
        self._graph.output(self._source([reading.output for reading in readings]).node)

    def network(self) -> fx.GraphModule:
        """The wide network, (n, c, h, w) or (n, K c, h, w) to logits (n, K classes)."""
        return fx.GraphModule(self._modules, self._graph)

    def _step(self, steps: list[Step]) -> Wide:
        sources = [self._source(list(parts)) for parts in zip(*(step.sources for step in steps), strict=True)]
        node, widths = steps[0].node, tuple(step.shape[1] for step in steps)
        layers = [self._module(reading, step) for reading, step in zip(self._readings, steps, strict=True)]
        match layers[0]:
            case nn.Conv2d():
                return self._convolution(node, cast(list[nn.Conv2d], layers), sources[0], widths)
            case nn.Linear():
                return self._linear(node, cast(list[nn.Linear], layers), sources[0], widths)
            case nn.modules.batchnorm._BatchNorm():
                norm = self._norm(cast(list[nn.modules.batchnorm._BatchNorm], layers))
                return Wide(self._call(node, norm, [self._apart(sources[0])]), widths)
            case nn.Module():
                return self._unitwise_module(node, cast(list[nn.Module], layers), sources[0], widths)
        if node.target in (concatenated, torch.cat):
            return self._concatenation(node, [self._apart(source) for source in sources], widths)
        return self._function(steps, sources, widths)

    @staticmethod
    def _module(reading: Reading, step: Step) -> nn.Module | None:
        return reading.modules.get_submodule(str(step.node.target)) if step.node.op == "call_module" else None

    def _call(self, node: fx.Node, module: nn.Module, sources: Sequence[Wide]) -> fx.Node:
        """The wide module in place of the first network's, with what else that one is given."""
        self._modules[str(node.target)] = module
        found = iter(sources)
        args, kwargs = self._with(node, lambda _: next(found).node)
        return self._graph.call_module(str(node.target), args, kwargs)

    def _with(self, node: fx.Node, replacement: Callable[[fx.Node], fx.Node]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A node's arguments in the wide graph."""
        return with_tensors(node, lambda one: self._num_images if is_number(one) else replacement(one))

    def _convolution(self, node: fx.Node, layers: list[nn.Conv2d], source: Wide, widths: tuple[int, ...]) -> Wide:
        first = layers[0]
        reads_shared = source.is_shared and first.groups == 1
        if not reads_shared:
            source = self._apart(source)
        groups = 1 if reads_shared else self._num * max(layer.groups for layer in layers)
        weight = _parameter([layer.weight for layer in layers])
        wide = nn.utils.skip_init(
            nn.Conv2d,
            weight.shape[1] * groups,
            len(weight),
            kernel_size=first.kernel_size,
            stride=first.stride,
            padding=first.padding,
            dilation=first.dilation,
            groups=groups,
            bias=first.bias is not None,
        )
        wide.weight = weight
        if first.bias is not None:
            wide.bias = _parameter([cast(Tensor, layer.bias) for layer in layers])
        return Wide(self._call(node, wide, [source]), widths)

    def _linear(self, node: fx.Node, layers: list[nn.Linear], source: Wide, widths: tuple[int, ...]) -> Wide:
        weight = _parameter([layer.weight for layer in layers])
        bias = None if layers[0].bias is None else _parameter([layer.bias for layer in layers])
        if not source.is_shared:
            return Wide(self._call(node, Linears(weight, bias, self._num), [source]), widths)
        wide = nn.utils.skip_init(nn.Linear, weight.shape[1], len(weight), bias=bias is not None)
        wide.weight, wide.bias = weight, bias
        return Wide(self._call(node, wide, [source]), widths)

    def _norm(self, layers: list[nn.modules.batchnorm._BatchNorm]) -> nn.modules.batchnorm._BatchNorm:
        """Channel by channel, so that padding disturbs nobody: scale and offset zero, variance one."""
        wide = copy.deepcopy(layers[0])
        if wide.affine:
            wide.weight = _parameter([layer.weight for layer in layers])
            wide.bias = _parameter([layer.bias for layer in layers])
        if wide.running_mean is not None:
            wide.running_mean = stacked([cast(Tensor, layer.running_mean) for layer in layers])
            wide.running_var = stacked([cast(Tensor, layer.running_var) for layer in layers], padding=1.0)
            wide.num_features = len(wide.running_mean)
        return wide

    def _unitwise_module(self, node: fx.Node, layers: list[nn.Module], source: Wide, widths: tuple[int, ...]) -> Wide:
        wide = copy.deepcopy(layers[0])
        if hasattr(wide, "inplace"):
            wide.inplace = all(layer.inplace for layer in layers)  # type: ignore[assignment]
        return Wide(self._call(node, wide, [source]), widths, source.is_shared)

    def _function(self, steps: list[Step], sources: list[Wide], widths: tuple[int, ...]) -> Wide:
        """A function of each unit, or of two units in the same place."""
        if len(sources) > 1:
            sources = [self._apart(source) for source in sources]
        node, found = steps[0].node, iter(sources)
        args, kwargs = self._with(node, lambda _: next(found).node)
        target: Any = node.target
        if overwriting(target) and not all(overwriting(step.node.target) for step in steps):
            target = torch.relu
        wide = self._graph.create_node(node.op, target, args, kwargs)
        return Wide(wide, widths, sources[0].is_shared)

    def _concatenation(self, node: fx.Node, sources: list[Wide], widths: tuple[int, ...]) -> Wide:
        """Part after part of all networks, then each network's parts together."""
        found = iter(sources)
        args, kwargs = self._with(node, lambda _: next(found).node)
        joined = self._graph.call_function(cast(Callable[..., Any], node.target), args, kwargs)
        starts = [sum(self._num * source.block for source in sources[:part]) for part in range(len(sources))]
        orders = [
            [
                start + number * source.block + unit
                for source, start in zip(sources, starts, strict=True)
                for unit in range(source.widths[number])
            ]
            for number in range(self._num)
        ]
        return self._in_order(joined, sum(self._num * source.block for source in sources), orders, widths)

    def _source(self, sources: list[Source]) -> Wide:
        """What the networks read, arranged as each of them wants it."""
        value = self._values[sources[0].step]
        for place in range(max(len(source.arrangements) for source in sources)):
            wanted = tuple(
                source.arrangements[place] if place < len(source.arrangements) else None for source in sources
            )
            value = self._arrange(self._apart(value), wanted)
        return value

    def _arrange(self, value: Wide, wanted: tuple[fx.Node | None, ...]) -> Wide:
        """Units of each network in the order that its own node gives them; as they are where there is none."""
        key = (value.node, wanted)
        if key not in self._arranged:
            orders = []
            for number, (reading, node) in enumerate(zip(self._readings, wanted, strict=True)):
                width = value.widths[number]
                index = range(width) if node is None else _index_of(reading, node)
                orders.append([number * value.block + one if one < width else -1 for one in index])
            widths = tuple(len(order) for order in orders)
            self._arranged[key] = self._in_order(value.node, self._num * value.block, orders, widths)
        return self._arranged[key]

    def _in_order(self, node: fx.Node, num_units: int, orders: list[list[int]], widths: tuple[int, ...]) -> Wide:
        """Block k is the units of a wide tensor that orders[k] names, -1 for zeros.

        Two networks with units a b and c - side by side, swapped in the first, as they are in the second:
        orders [[1, 0], [2]] of the four units make b a, c 0.
        """
        block = max(widths)
        index = torch.full((self._num, block), num_units)
        for row, order in zip(index, orders, strict=True):
            chosen = torch.tensor(order, dtype=torch.int64)
            row[: len(order)] = torch.where(chosen < 0, num_units, chosen)
        index = index.flatten()
        back = torch.full((num_units + 1,), len(index))
        back[index] = torch.arange(len(index))
        back = back[:-1]
        adds, drops = bool((index == num_units).any()), bool((back == len(index)).any())
        wide = self._graph.call_function(arrange, (node, self._buffer(index), self._buffer(back), adds, drops))
        return Wide(wide, widths)

    def _apart(self, value: Wide) -> Wide:
        """With a block for each network."""
        if not value.is_shared:
            return value
        return Wide(self._graph.call_function(torch.cat, ([value.node] * self._num, 1)), value.widths)

    def _buffer(self, tensor: Tensor) -> fx.Node:
        name = f"index_{len(self._modules)}"
        self._modules[name] = tensor.to(self._device)
        return self._graph.get_attr(name)


def _index_of(reading: Reading, arrangement: fx.Node) -> list[int]:
    """The units that an arrangement takes, in order; one past the end for zeros."""
    index = getattr(reading.modules, str(cast(fx.Node, arrangement.args[1]).target))
    return cast(Tensor, index).tolist()


def _parameter(tensors: Sequence[Tensor]) -> nn.Parameter:
    return nn.Parameter(stacked([tensor.detach() for tensor in tensors]), requires_grad=tensors[0].requires_grad)
