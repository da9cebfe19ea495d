"""Which units and slots share one flow, so that what enters through the units leaves through the slots.

A unit is an output channel of a prunable weight, a slot an input channel of one (an input feature of a linear layer).
Units and slots that are connected without a weight in between, directly or through one another, are a group: in a
straight network a channel and the one or many slots that read it; on a residual stream a channel with all layers that
write it and all that read it. Nothing here looks at weights: groups are a function of the architecture alone.

`pruning.wiring` answers the harder question of who feeds whom, one unit at a time. Groups need less, and every layer
can be on at once: each puts out the binary digits of its channels' numbers and their complements, one image a digit,
then those of its own number. A slot that never sees a digit together with its complement is fed by channels of one
number, or by one layer. For VGG-16 with 100 classes that is 27 images, where one unit at a time is 4,327.

Where several layers meet in a slot (a residual sum), which ones they are is read off the autograd graph, layer by
layer. So groups can be coarser than the truth in one case, never finer: where layers of a sum do not all reach every
slot that reads it, and where channels mix. A union of balanced groups is balanced.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from pruning.connectivity import _replace_pooling_and_normalisation
from pruning.linear_view import to_linear_view
from pruning.prunable import PRUNABLE_LAYERS, TRANSPOSED_LAYERS
from pruning.wiring import Layer, _groups, _replaced

IMAGES_AT_ONCE = 8
"""More cost memory: an activation of VGG-19 at 224x224 is 13 MB an image."""

_INPUT = ""
"""The network's input among the names of weights, as what feeds the first layers."""


@dataclass(frozen=True, kw_only=True)
class UnitGroups:
    """Groups of units and slots, numbered from 0. Weights of layers that are never called are missing."""

    of_units: dict[str, Tensor]
    """Per prunable weight, (units,): the group of each output channel."""
    of_slots: dict[str, Tensor]
    """Per prunable weight, (slots,): the group of each input channel; in a grouped convolution of all groups."""
    is_closed: Tensor
    """(groups,): False where flow also comes from the network's input, leaves by its output, is read by no slot or
    passes something that cannot be followed: a weight read other than by its layer, a function of zero that is not."""
    inputs_first: frozenset[str] = frozenset()
    """Weights of transposed convolutions: (inputs, outputs / groups, ...)."""


@torch.no_grad()
def unit_groups(model: nn.Module, input_shape: tuple[int, ...]) -> UnitGroups:
    """Groups of `model`, which is left untouched, for an input of `input_shape` (channels first, no batch).

    Raises ValueError where nothing can be followed: rows of the batch that mix, an output without a tensor.
    """
    probe = copy.deepcopy(model).float()
    _replace_pooling_and_normalisation(probe)
    to_linear_view(probe)
    layers = {name: module for name, module in probe.named_modules() if isinstance(module, PRUNABLE_LAYERS)}
    names: dict[int, str] = {}  # a weight that layers share has the name of the first, as in prunable_weights()
    for name, module in layers.items():
        names.setdefault(id(module.weight), f"{name}.weight" if name else "weight")
    weight_of = {name: names[id(module.weight)] for name, module in layers.items()}
    some_weight = next(iter(probe.parameters()))
    images = torch.ones(1, *input_shape, device=some_weight.device)

    shapes, graph = _trace(probe, layers, weight_of, images)
    num_units = {_INPUT: input_shape[0]}
    num_slots: dict[str, int] = {}
    for name in shapes:
        weight = layers[name].weight
        per_group = weight.shape[1] * _groups(layers[name])
        is_transposed = isinstance(layers[name], TRANSPOSED_LAYERS)
        num_units[weight_of[name]] = per_group if is_transposed else weight.shape[0]
        num_slots[weight_of[name]] = weight.shape[0] if is_transposed else per_group
    codes = _codes(num_units, images.device)
    seen = _probe(probe, {name: layers[name] for name in shapes}, weight_of, shapes, codes, images)

    first_unit = dict(zip(num_units, _starts(num_units.values()), strict=True))
    total_units = sum(num_units.values())
    first_slot = {name: total_units + start for name, start in zip(num_slots, _starts(num_slots.values()), strict=True)}
    edges = [_edges(seen[name], codes, graph.sources[name], first_unit, first_slot[name]) for name in seen]
    empty = torch.empty(2, 0, dtype=torch.long, device=images.device)
    group = _components(total_units + sum(num_slots.values()), torch.cat([empty, *edges], 1))

    of_units = {name: group[first : first + num_units[name]] for name, first in first_unit.items()}
    of_slots = {name: group[first : first + num_slots[name]] for name, first in first_slot.items()}
    lost = graph.opaque | {name for name in of_slots if name not in seen or bool(seen[name][0].any())}
    is_open = torch.ones(int(group.max()) + 1, dtype=torch.bool, device=images.device)
    for slots in of_slots.values():
        is_open[slots] = False
    for name in lost:
        is_open[of_slots[name]] = True
    for source in {_INPUT, *graph.outputs}.union(*(graph.sources[name] for name in lost)):
        is_open[of_units[source]] = True
    del of_units[_INPUT]
    inputs_first = frozenset(weight_of[name] for name in shapes if isinstance(layers[name], TRANSPOSED_LAYERS))
    return UnitGroups(of_units=of_units, of_slots=of_slots, is_closed=~is_open, inputs_first=inputs_first)


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """What feeds what, at the level of weights."""

    sources: dict[str, set[str]]
    """Per weight, the weights (or the input) whose outputs its layer reads."""
    outputs: set[str]
    """What the network's output sees."""
    opaque: set[str]
    """Weights whose layer reads what depends on a weight without its layer."""


def _trace(
    probe: nn.Module, layers: dict[str, Layer], weight_of: dict[str, str], images: Tensor
) -> tuple[dict[str, torch.Size], _Graph]:
    """Shapes of each layer's output, without the batch, in the order of calls; and the graph between them."""
    shapes: dict[str, torch.Size] = {}
    sources: dict[str, set[str]] = {}
    opaque: set[str] = set()
    ends: dict[int, str | None] = {id(layers[name].weight): None for name in layers}
    leaves: list[Tensor] = []  # kept alive: they are known by id
    reached = _Reached(ends)
    originals = {name: module.forward for name, module in layers.items()}

    def leaf(like: Tensor, name: str) -> Tensor:
        leaves.append(torch.ones_like(like, requires_grad=True))
        ends[id(leaves[-1])] = name
        return leaves[-1] * 1  # what comes next may work in place

    def note(name: str, module: Layer, inputs: Tensor) -> Tensor:
        found = reached(inputs)
        sources.setdefault(weight_of[name], set()).update(end for end in found if end is not None)
        if None in found:
            opaque.add(weight_of[name])
        with torch.no_grad():
            outputs = originals[name](inputs)
        shapes[name] = outputs.shape[1:]
        return leaf(outputs, weight_of[name])

    for weight in probe.parameters():
        weight.requires_grad_()
    with torch.enable_grad(), _replaced(layers, note):
        outputs = list(_tensors_in(probe(leaf(images, _INPUT))))
    if not outputs:
        raise ValueError(f"units can be followed only where {type(probe).__name__} returns tensors")
    seen_by_output = {end for output in outputs for end in reached(output) if end is not None}
    return shapes, _Graph(sources=sources, outputs=seen_by_output, opaque=opaque)


class _Reached:
    """The ends of the autograd graph behind a tensor: weights (None) and layers' outputs, by name."""

    def __init__(self, ends: dict[int, str | None]) -> None:
        self._ends = ends
        self._known: dict[Any, frozenset[str | None]] = {}

    def __call__(self, tensor: Tensor) -> frozenset[str | None]:
        if tensor.grad_fn is None:
            return frozenset()
        waiting: list[Any] = [tensor.grad_fn]
        while waiting:  # not recursion: a network of 1202 layers has a deeper graph than Python a stack
            node = waiting[-1]
            before = [parent for parent, _ in node.next_functions if parent is not None]
            unknown = [parent for parent in before if parent not in self._known]
            if unknown and node not in self._known:
                waiting += unknown
                continue
            waiting.pop()
            leaf = getattr(node, "variable", None)
            own = {self._ends[id(leaf)]} if leaf is not None and id(leaf) in self._ends else set()
            self._known[node] = frozenset(own).union(*(self._known[parent] for parent in before))
        return self._known[tensor.grad_fn]


@dataclass(frozen=True, kw_only=True)
class _Codes:
    """What each layer puts out: a row an image. Row 0 is silence; digits and their complements follow in turn."""

    of: dict[str, Tensor]
    """Per source, (rows, units)."""
    sources: list[str]
    num_channel_digits: int

    def read(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The number that (digits and complements in turn, slots) spell for each slot, and whether it is one number."""
        ones, zeros = rows[0::2], rows[1::2]
        values = 2 ** torch.arange(len(ones), device=rows.device)
        return (ones * values[:, None]).sum(0), ~(ones & zeros).any(0)


def _codes(num_units: dict[str, int], device: torch.device) -> _Codes:
    num_channel_digits = max(1, (max(num_units.values()) - 1).bit_length())
    num_layer_digits = max(1, (len(num_units) - 1).bit_length())

    def digits(numbers: Tensor, num_digits: int) -> Tensor:
        ones = torch.stack([numbers >> digit & 1 for digit in range(num_digits)])
        return torch.stack([ones, 1 - ones], 1).flatten(0, 1)

    codes = {}
    for position, (name, count) in enumerate(num_units.items()):
        channels = torch.arange(count, device=device)
        own = torch.full_like(channels, position)
        rows = [torch.zeros_like(own)[None], digits(channels, num_channel_digits), digits(own, num_layer_digits)]
        codes[name] = torch.cat(rows).float()
    return _Codes(of=codes, sources=list(num_units), num_channel_digits=num_channel_digits)


def _probe(
    probe: nn.Module,
    layers: dict[str, Layer],
    weight_of: dict[str, str],
    shapes: dict[str, torch.Size],
    codes: _Codes,
    images: Tensor,
) -> dict[str, Tensor]:
    """Per weight, (rows, slots): whether anything arrives at the slot while all layers put out their codes."""
    parts: dict[str, list[Tensor]] = {}
    for rows in torch.arange(len(codes.of[_INPUT])).split(IMAGES_AT_ONCE):
        arrived: dict[str, Tensor] = {}

        def emit(name: str, module: Layer, inputs: Tensor, rows: Tensor = rows, arrived: Any = arrived) -> Tensor:
            if inputs.shape[0] != len(rows):
                raise ValueError(f"units cannot be followed through what happens to the batch before {name}")
            by_channel = inputs.movedim(-1, 1) if isinstance(module, nn.Linear) else inputs
            fed = by_channel.reshape(*by_channel.shape[:2], -1).ne(0).any(2)
            weight = weight_of[name]
            arrived[weight] = arrived[weight] | fed if weight in arrived else fed
            shape = shapes[name]
            outputs = codes.of[weight][rows]
            if isinstance(module, nn.Linear):
                return outputs.view(len(rows), *[1] * (len(shape) - 1), -1).expand(-1, *shape).contiguous()
            return outputs.view(len(rows), -1, *[1] * (len(shape) - 1)).expand(-1, *shape).contiguous()

        code = codes.of[_INPUT][rows]
        inputs = code.view(*code.shape, *[1] * (images.dim() - 2)).expand(-1, *images.shape[1:])
        with _replaced(layers, emit):
            probe(inputs.contiguous())
        for weight, fed in arrived.items():
            parts.setdefault(weight, []).append(fed)
    return {weight: torch.cat(fed) for weight, fed in parts.items()}


def _edges(digits: Tensor, codes: _Codes, sources: set[str], first_unit: dict[str, int], first_slot: int) -> Tensor:
    """(2, n) numbers of a weight's slots and of units that belong together, from what arrived at the slots."""
    first_layer_row = 1 + 2 * codes.num_channel_digits
    channel, is_one_channel = codes.read(digits[1:first_layer_row])
    layer, is_one_layer = codes.read(digits[first_layer_row:])
    is_fed = digits[1:first_layer_row].any(0)
    candidates = sorted(sources, key=codes.sources.index)

    def column(values: Iterable[int]) -> Tensor:
        return torch.tensor(list(values), dtype=torch.long, device=digits.device)[:, None]

    starts = column(first_unit[source] for source in candidates)
    sizes = column(codes.of[source].shape[1] for source in candidates)
    numbers = column(codes.sources.index(source) for source in candidates)
    is_from = is_fed & (~is_one_layer | (layer == numbers))  # (sources, slots)
    source, slot = (is_from & is_one_channel & (channel < sizes)).nonzero(as_tuple=True)
    found = [torch.stack([slot, starts[source, 0] + channel[slot]])]
    for index in (is_from & ~is_one_channel).any(1).nonzero().flatten().tolist():
        mixed = (is_from[index] & ~is_one_channel).nonzero().flatten()
        units = starts[index] + torch.arange(int(sizes[index]), device=digits.device)
        found.append(torch.stack([mixed, units[:1].expand_as(mixed)]))
        found.append(torch.stack([mixed[:1].expand_as(units), units]))  # one slot joins them all
    return torch.cat(found, 1) + torch.tensor([[first_slot], [0]], device=digits.device)


def _components(num_nodes: int, edges: Tensor) -> Tensor:
    """(num_nodes,) numbers from 0, equal for nodes that the (2, n) edges connect."""
    label = torch.arange(num_nodes, device=edges.device)
    while True:
        lower = label[edges].amin(0)
        new = label
        for ends in edges:
            new = new.scatter_reduce(0, ends, lower, "amin")
        new = new[new]
        if torch.equal(new, label):
            return label.unique(return_inverse=True)[1]
        label = new


def _tensors_in(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for branch in tree.values():
            yield from _tensors_in(branch)
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _tensors_in(branch)


def _starts(sizes: Iterable[int]) -> list[int]:
    """Where each of consecutive ranges of the given sizes begins."""
    return list(accumulate(sizes, initial=0))[:-1]
