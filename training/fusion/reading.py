"""What a small network computes, step by step, and whether another computes the same in other widths.

Small networks of one architecture with every layer (`compact(..., every_layer=True)`) differ in how many units are
left, and in which of their tensors units are put into another order (`training.compaction.parts.arrange`). Two that are
alike in everything else have equal signatures, and can be computed side by side.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from training.compaction.compact import SmallNetwork
from training.compaction.operations.unitwise import FUNCTIONS, METHODS, MODULES
from training.compaction.parts import ConstantBatchNorm, arrange, concatenated

IMAGES = -1
"""In place of a step's number: the images."""


class NotFused(Exception):
    """Why a network must be trained by itself."""


@dataclass(frozen=True)
class Source:
    """A tensor that a step reads: the result of another, its units arranged anew any number of times."""

    step: int
    arrangements: tuple[fx.Node, ...]


@dataclass(frozen=True)
class Step:
    """One operation of a small network."""

    node: fx.Node
    sources: list[Source]
    shape: tuple[int, ...]
    """Of its result: 1 or the number of images first, then units, then positions."""


@dataclass(frozen=True)
class Reading:
    """A small network, read."""

    network: SmallNetwork
    steps: list[Step]
    output: Source
    signature: str
    """Equal for networks that differ in widths and arrangements alone."""

    @cached_property
    def multiplications(self) -> list[tuple[int, int, int]]:
        """Of each layer with weights: positions and taps, rows, columns; their product is that of an image."""
        found = []
        for step in self.steps:
            layer = self.modules.get_submodule(str(step.node.target)) if step.node.op == "call_module" else None
            if isinstance(layer, nn.Conv2d | nn.Linear):
                rows, columns = layer.weight.shape[:2]
                found.append((math.prod(step.shape[2:]) * layer.weight[0, 0].numel(), rows, columns))
        return found

    @property
    def num_multiplications(self) -> int:
        """Of an image's forward pass."""
        return sum(positions * rows * columns for positions, rows, columns in self.multiplications)

    @property
    def modules(self) -> fx.GraphModule:
        """What the steps call."""
        return self.network.layers


def read(network: SmallNetwork, input_shape: tuple[int, ...]) -> Reading:
    """The steps of a small network. Raises NotFused, with the reason, for what cannot be computed side by side."""
    shapes = _shapes(network, input_shape)
    steps: list[Step] = []
    numbers: dict[fx.Node, Source] = {}
    lines = []
    for node in network.layers.graph.nodes:
        if node.op == "placeholder":
            numbers[node] = Source(IMAGES, ())
        elif node.op == "output":
            (last,) = node.args
            output = numbers[cast(fx.Node, last)]
        elif node.target is arrange:
            before = numbers[cast(fx.Node, node.args[0])]
            numbers[node] = Source(before.step, (*before.arrangements, node))
        elif node.op != "get_attr":
            facts = _facts(node, network.layers)
            sources = [numbers[one] for one in tensors_of(node)]
            lines.append(f"{facts} {shapes[node][2:]} <- {[one.step for one in sources]}")
            numbers[node] = Source(len(steps), ())
            steps.append(Step(node, sources, shapes[node]))
    lines.append(f"output {output.step}, {shapes[steps[output.step].node][:1]}")
    return Reading(network, steps, output, "\n".join(lines))


def tensors_of(node: fx.Node) -> list[fx.Node]:
    """The tensors among a node's arguments, in their order, one as often as it is given."""
    found: list[fx.Node] = []
    with_tensors(node, found.append)
    return [one for one in found if not is_number(one)]


def with_tensors(node: fx.Node, replacement: Callable[[fx.Node], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A node's arguments, each tensor and the number of images replaced."""
    args = fx.node.map_arg(node.args, replacement)
    return cast(tuple[Any, ...], args), dict(cast(dict[str, Any], fx.node.map_arg(node.kwargs, replacement)))


def is_number(node: fx.Node) -> bool:
    """Whether a node is the number of images."""
    return node.op == "placeholder" and node.target == "num_images"


def overwriting(function: Any) -> bool:
    """Whether a function that `read` takes overwrites its argument."""
    return function is torch.relu_


_JOINING = {torch.add, torch.mul, torch.cat, concatenated}
_RESHAPING = {torch.flatten, operator.getitem, torch.nn.functional.pad}
_UNITWISE = FUNCTIONS.keys() | METHODS.keys() | {torch.relu_}


def _facts(node: fx.Node, modules: nn.Module) -> str:
    """What a node does, widths left out; raises NotFused for what is done to all units together, or at random."""
    if node.op == "call_module":
        return f"{node.target}: {_module_facts(str(node.target), modules.get_submodule(str(node.target)))}"
    target: Any = node.target
    if target not in _JOINING | _RESHAPING | _UNITWISE:
        raise NotFused(f"{node.name} is not known")
    target = torch.relu if overwriting(target) else target
    args, kwargs = with_tensors(node, lambda tensor: "tensor")
    return f"{getattr(target, '__qualname__', target)} {args} {kwargs}"


def _module_facts(name: str, module: nn.Module) -> str:
    trains = [parameter.requires_grad for parameter in module.parameters()]
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d):
        inside = (module.weight.shape[1], len(module.weight) // module.groups) if module.groups > 1 else ()
        return f"{kind} {module.kernel_size} {module.stride} {module.padding} {module.dilation} {inside} {trains}"
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, ConstantBatchNorm):
        return f"{kind} {module.eps} {module.momentum} {module.affine} {module.track_running_stats} {trains}"
    if isinstance(module, nn.Linear):
        return f"{kind} {trains}"
    if type(module) in MODULES:
        options = {key: value for key, value in vars(module).items() if key[0] != "_"}
        return f"{kind} {[(key, options[key]) for key in sorted(options.keys() - {'training', 'inplace'})]}"
    raise NotFused(f"{name} is a {kind}, which belongs to one network at a time")


@torch.no_grad()
def _shapes(network: SmallNetwork, input_shape: tuple[int, ...]) -> dict[fx.Node, tuple[int, ...]]:
    """The shape of every node's result for two images."""
    found: dict[fx.Node, tuple[int, ...]] = {}

    class Recorder(fx.Interpreter):
        extra_traceback = False  # appends where it was to a message, and imports for seconds to do so

        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, Tensor) and n.op != "get_attr":
                found[n] = tuple(result.shape)
            return result

    like = next(network.parameters())
    was_training = network.training
    network.eval()  # statistics stay as they are
    Recorder(network.layers).run(like.new_zeros(2, *input_shape), 2)
    network.train(was_training)
    return found
