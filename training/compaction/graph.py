"""Read a network: its operations in order, traced by torch.fx, or the reason why one of them is not understood."""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pruning.masks import Masks
from training.compaction.operations.contract import NotUnderstood, Operation
from training.compaction.operations.joins import Concatenation, Flatten, PadUnits, Product, Slice, Sum
from training.compaction.operations.layers import BatchNorm, Weighted
from training.compaction.operations.unitwise import FUNCTIONS, METHODS, MODULES, Dropout, Unitwise

_SUMS = (operator.add, operator.iadd, torch.add)
_PRODUCTS = (operator.mul, operator.imul, torch.mul)
_OVERWRITING = (operator.iadd, operator.imul)


@dataclass(frozen=True)
class Graph:
    """A traced network that is understood throughout."""

    images: fx.Node
    operations: list[Operation]
    """In order of computation, without those whose result is never used."""
    output: fx.Node
    """The tensor that the network returns, logits (n, classes)."""
    shapes: dict[fx.Node, tuple[int, ...]]
    """Of each tensor, without the batch."""


def read_graph(model: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Graph:
    """The operations of `model`. Raises NotUnderstood naming the first that is not known."""
    _refuse_what_tracing_misses(model)
    traced = _trace(model)
    nodes = list(traced.graph.nodes)
    images, *others = [node for node in nodes if node.op == "placeholder"]
    if others:
        raise NotUnderstood(f"the network takes further inputs: {', '.join(node.name for node in others)}")
    output = nodes[-1].args[0]
    if not isinstance(output, fx.Node):
        raise NotUnderstood("the network returns more than one tensor")
    shapes = _shapes(traced, input_shape)
    if len(shapes.get(output, ())) != 1:
        raise NotUnderstood("the network does not return one row of logits an image")
    modules = dict(model.named_modules(remove_duplicate=False))
    reader = _Reader(modules, masks, shapes)
    operations = [reader.read(node) for node in nodes if node in shapes and node is not images and node.users]
    return Graph(images=images, operations=operations, output=output, shapes=shapes)


def _refuse_what_tracing_misses(model: nn.Module) -> None:
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        # Private, but the only way to know: a hook may change anything, and tracing would not see it.
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            raise NotUnderstood(f"{name or type(model).__name__} has hooks")
        if nn.utils.parametrize.is_parametrized(module):
            raise NotUnderstood(f"{name} computes its parameters")
        for parameter_name, parameter in module.named_parameters(recurse=False):
            full_name = f"{name}.{parameter_name}"
            if owners.setdefault(id(parameter), full_name) != full_name:
                raise NotUnderstood(f"{full_name} and {owners[id(parameter)]} are one parameter")


def _trace(model: nn.Module) -> fx.GraphModule:
    """Traced in both modes: a network that takes another way in training cannot be read from one of them."""
    was_training = {module: module.training for module in model.modules()}
    try:
        train, evaluate = (fx.Tracer().trace(model.train(mode)) for mode in (True, False))
    except Exception as error:  # whatever a user's forward pass does with a proxy
        raise NotUnderstood(f"torch.fx cannot trace {type(model).__name__}: {error}") from error
    finally:
        for module, mode in was_training.items():
            module.training = mode
    if str(train) != str(evaluate):
        raise NotUnderstood(f"{type(model).__name__} computes differently in train and in eval mode")
    return fx.GraphModule(model, train)


class _ShapeRecorder(fx.Interpreter):
    """Runs the graph on tensors without data and notes the shape of every result."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """As the interpreter does; anything but a batch of images' tensors has no shape here."""
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "output":
            self.shapes[n] = tuple(result.shape[1:])
        return result


def _shapes(traced: fx.GraphModule, input_shape: tuple[int, ...]) -> dict[fx.Node, tuple[int, ...]]:
    memo: dict[int, Any] = {id(t): torch.empty_like(t, device="meta") for t in traced.buffers()}
    memo |= {id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in traced.parameters()}
    recorder = _ShapeRecorder(copy.deepcopy(traced, memo).eval())
    dtype = next(p.dtype for p in traced.parameters())
    recorder.run(torch.empty(2, *input_shape, device="meta", dtype=dtype))
    own = {node.name: node for node in traced.graph.nodes}
    return {own[node.name]: shape for node, shape in recorder.shapes.items()}


class _Reader:
    def __init__(self, modules: dict[str, nn.Module], masks: Masks, shapes: dict[fx.Node, tuple[int, ...]]) -> None:
        self.modules = modules
        self.masks = masks
        self.shapes = shapes
        self.called: set[int] = set()

    def read(self, node: fx.Node) -> Operation:
        """The operation at `node`."""
        sources = [argument for argument in node.all_input_nodes if argument in self.shapes]
        if len(self.shapes[node]) not in (1, 3) or any(len(self.shapes[source]) not in (1, 3) for source in sources):
            raise NotUnderstood(f"{_name(node)} works on tensors that are neither (n, features) nor (n, c, h, w)")
        if self._overwrites(node) and len(sources[0].users) > 1:
            raise NotUnderstood(f"{_name(node)} overwrites a tensor that is read elsewhere")
        if node.op == "call_module":
            return self._module(node, sources)
        operation = self._join(node, sources) or self._function(node, sources)
        if operation is None:
            raise NotUnderstood(f"{_name(node)} is not known")
        return operation

    def _overwrites(self, node: fx.Node) -> bool:
        inplace = getattr(self.modules.get(str(node.target)), "inplace", False) if node.op == "call_module" else False
        return bool(inplace or node.kwargs.get("inplace") or node.target in _OVERWRITING)

    def _module(self, node: fx.Node, sources: list[fx.Node]) -> Operation:
        name, shape = str(node.target), self.shapes[node]
        module = self.modules[name]
        if len(sources) != 1 or len(node.args) != 1 or node.kwargs:
            raise NotUnderstood(f"{name} is called with more than one tensor")
        if any(True for _ in module.parameters()):
            if id(module) in self.called:
                raise NotUnderstood(f"{name} is called more than once")
            self.called.add(id(module))
        kind = type(module)
        if isinstance(module, nn.Conv2d | nn.Linear) and kind in (nn.Conv2d, nn.Linear):
            if getattr(module, "padding_mode", "zeros") != "zeros":
                raise NotUnderstood(f"{name} pads with something else than zeros")
            if kind is nn.Linear and len(shape) != 1:
                raise NotUnderstood(f"{name} is a linear layer of positions")
            return Weighted(node, sources, shape, module, self.masks[f"{name}.weight"])
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and kind in (nn.BatchNorm1d, nn.BatchNorm2d):
            return BatchNorm(node, sources, shape, module)
        if isinstance(module, nn.Dropout) and kind is nn.Dropout:
            return Dropout(node, sources, shape, module)
        if isinstance(module, nn.Flatten) and kind is nn.Flatten and len(shape) == 1:
            return Flatten(node, sources, shape, self.shapes[sources[0]][0])
        if kind in MODULES and not getattr(module, "return_indices", False):
            return Unitwise(node, sources, shape, MODULES[kind], module)
        raise NotUnderstood(f"{name} is a {kind.__name__}")

    def _join(self, node: fx.Node, sources: list[fx.Node]) -> Operation | None:
        shape, target = self.shapes[node], node.target
        of_two = len(sources) == 2 and len(node.args) == 2 and not node.kwargs
        if target in _SUMS and of_two and self.shapes[sources[0]] == self.shapes[sources[1]]:
            return Sum(node, sources, shape)
        if target in _PRODUCTS and of_two and all(self.shapes[source][0] == shape[0] for source in sources):
            return Product(node, sources, shape)
        if target in (torch.cat, torch.concat):
            return self._concatenation(node, shape)
        if len(sources) != 1:
            return None
        source_shape = self.shapes[sources[0]]
        if target in (torch.flatten, "flatten", "view", "reshape") and len(shape) == 1:
            if len(shape) == len(source_shape):
                return Unitwise(node, sources, shape, METHODS["contiguous"], nn.Identity())
            return Flatten(node, sources, shape, source_shape[0])
        if target is operator.getitem and _keeps_units(node.args[1]) and len(shape) == len(source_shape) == 3:
            return Slice(node, sources, shape)
        if target is F.pad and len(source_shape) == 3 and _pads_zeros(node):
            return PadUnits(node, sources, shape, list(node.args[1]))  # type: ignore[arg-type]
        return None

    def _concatenation(self, node: fx.Node, shape: tuple[int, ...]) -> Operation | None:
        tensors = node.args[0] if node.args else node.kwargs.get("tensors")
        dimension = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if not isinstance(tensors, list | tuple) or dimension != 1:
            return None
        sources = [tensor for tensor in tensors if isinstance(tensor, fx.Node)]
        return Concatenation(node, sources, shape, [self.shapes[source][0] for source in sources])

    def _function(self, node: fx.Node, sources: list[fx.Node]) -> Operation | None:
        shape = self.shapes[node]
        if len(sources) != 1 or len(node.all_input_nodes) != 1 or not node.args or node.args[0] is not sources[0]:
            return None
        if node.target == "mean":
            dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
            if not isinstance(dims, list | tuple) or {int(d) % 4 for d in dims} != {2, 3}:  # type: ignore[arg-type]
                return None
            if len(self.shapes[sources[0]]) != 3:
                return None
        table: dict[Any, Any] = METHODS if node.op == "call_method" else FUNCTIONS
        facts = table.get(node.target)
        return Unitwise(node, sources, shape, facts, None) if facts else None


def _keeps_units(index: Any) -> bool:
    everything = (slice(None), slice(None))
    return (
        isinstance(index, tuple)
        and index[:2] == everything
        and all(isinstance(part, slice) and not any(isinstance(x, fx.Node) for x in _ends(part)) for part in index)
    )


def _ends(part: slice) -> tuple[Any, Any, Any]:
    return part.start, part.stop, part.step


def _pads_zeros(node: fx.Node) -> bool:
    padding = node.args[1] if len(node.args) > 1 else None
    mode = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
    value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value")
    return (
        isinstance(padding, list | tuple)
        and len(padding) <= 6
        and all(isinstance(width, int) and width >= 0 for width in padding)
        and mode == "constant"
        and not value
    )


def _name(node: fx.Node) -> str:
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"{node.name} ({target})"
