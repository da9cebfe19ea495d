"""Recognise what each node of a traced network does."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from pruning.masks import Masks
from training.compaction.operations.contract import NotUnderstood, Operation
from training.compaction.operations.joins import Concatenation, Flatten, PadUnits, Product, Slice, Sum
from training.compaction.operations.layers import BatchNorm, Weighted
from training.compaction.operations.unitwise import FUNCTIONS, METHODS, MODULES, Dropout, Unitwise

_SUMS = (operator.add, operator.iadd, torch.add)
_PRODUCTS = (operator.mul, operator.imul, torch.mul)
_OVERWRITING = (operator.iadd, operator.imul)
_VIEWS = (torch.flatten, operator.getitem, F.pad, "flatten", "view", "reshape", "contiguous")
_VIEW_MODULES = (nn.Flatten, nn.Identity, nn.Dropout)
"""What may return its input's memory; dropout does so in eval mode."""


class Recogniser:
    """Turns nodes into operations, or raises NotUnderstood naming what is not known."""

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
        if self._overwrites(node) and self._is_read_elsewhere(sources[0]):
            raise NotUnderstood(f"{_name(node)} overwrites a tensor that is read elsewhere")
        if node.op == "call_module":
            return self._module(node, sources)
        operation = self._join(node, sources) or self._function(node, sources)
        if operation is None:
            raise NotUnderstood(f"{_name(node)} is not known")
        return operation

    def _overwrites(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return bool(getattr(self.modules[str(node.target)], "inplace", False))
        return bool(node.kwargs.get("inplace") or node.target in _OVERWRITING)  # fx names it where it was a position

    def _is_read_elsewhere(self, tensor: fx.Node) -> bool:
        """Whether another reads the memory of `tensor`: it, what it is a view of, or the caller's images."""
        if tensor.op == "placeholder" or sum(user in self.shapes or user.op == "output" for user in tensor.users) > 1:
            return True
        module = self.modules[str(tensor.target)] if tensor.op == "call_module" else None
        is_view = tensor.target in _VIEWS or isinstance(module, _VIEW_MODULES)
        base = next((source for source in tensor.all_input_nodes if source in self.shapes), None)
        return base is not None and (is_view or self._overwrites(tensor)) and self._is_read_elsewhere(base)

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
        if node.target in (torch.cat, torch.concat):
            return self._concatenation(node, self.shapes[node])
        if len(sources) == 2 and len(node.args) == 2 and not node.kwargs:
            return self._of_two(node, sources)
        return self._renamed(node, sources[0]) if len(sources) == 1 else None

    def _of_two(self, node: fx.Node, sources: list[fx.Node]) -> Operation | None:
        shape, operands = self.shapes[node], [self.shapes[source] for source in sources]
        if node.target in _SUMS and operands == [shape, shape]:
            return Sum(node, sources, shape)
        if node.target in _PRODUCTS and all(operand[0] == shape[0] for operand in operands):
            return Product(node, sources, shape)
        return None

    def _renamed(self, node: fx.Node, source: fx.Node) -> Operation | None:
        shape, before, target = self.shapes[node], self.shapes[source], node.target
        if target in (torch.flatten, "flatten", "view", "reshape") and len(shape) == 1:
            if len(before) == 1:
                return Unitwise(node, [source], shape, METHODS["contiguous"], nn.Identity())
            return Flatten(node, [source], shape, before[0])
        if target is operator.getitem and _keeps_units(node.args[1]) and len(shape) == len(before) == 3:
            return Slice(node, [source], shape)
        padding = _zero_padding(node) if target is F.pad and len(before) == 3 else None
        return PadUnits(node, [source], shape, padding) if padding else None

    def _concatenation(self, node: fx.Node, shape: tuple[int, ...]) -> Operation | None:
        tensors = node.args[0] if node.args else node.kwargs.get("tensors")
        dimension = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if not isinstance(tensors, list | tuple) or dimension != 1:
            return None
        sources = [tensor for tensor in tensors if isinstance(tensor, fx.Node)]
        return Concatenation(node, sources, shape, [self.shapes[source][0] for source in sources])

    def _function(self, node: fx.Node, sources: list[fx.Node]) -> Operation | None:
        if node.all_input_nodes != sources or len(sources) != 1 or not node.args or node.args[0] is not sources[0]:
            return None
        if node.target == "mean" and not (_over_positions(node) and len(self.shapes[sources[0]]) == 3):
            return None
        table: dict[Any, Any] = METHODS if node.op == "call_method" else FUNCTIONS
        facts = table.get(node.target)
        return Unitwise(node, sources, self.shapes[node], facts, None) if facts else None


def _over_positions(node: fx.Node) -> bool:
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(dims, list | tuple) and set(dims) in ({2, 3}, {-2, -1})


def _keeps_units(index: Any) -> bool:
    everything = (slice(None), slice(None))
    return (
        isinstance(index, tuple)
        and index[:2] == everything
        and all(isinstance(part, slice) and not any(isinstance(x, fx.Node) for x in _ends(part)) for part in index)
    )


def _ends(part: slice) -> tuple[Any, Any, Any]:
    return part.start, part.stop, part.step


def _zero_padding(node: fx.Node) -> list[int] | None:
    """The widths of F.pad, if it pads with zeros and cuts nothing off."""
    arguments = dict(zip(("input", "pad", "mode", "value"), node.args, strict=False)) | node.kwargs
    widths = arguments.get("pad")
    if arguments.get("mode", "constant") != "constant" or arguments.get("value"):
        return None
    if not isinstance(widths, list | tuple) or len(widths) > 6:
        return None
    whole = [width for width in widths if isinstance(width, int) and width >= 0]
    return whole if len(whole) == len(widths) else None


def _name(node: fx.Node) -> str:
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"{node.name} ({target})"
