"""Which units of each tensor may be left out.

Two reasons, and no third:

unread  No path of kept weights leads from the unit to the output. Its value influences nothing and its gradient is
        exactly zero, always.
zero    The unit is exactly zero in every step of training and in evaluation. What reads it then sees nothing and
        gets a gradient of zero.

That something *stays* zero rests on biases and BatchNorm offsets that are zero now and never get a gradient; that
they get none rests on activations whose input is exactly zero (ReLU passes no gradient back there), which rests on
those zeros. The circle is sound by induction over steps: if all assumed offsets are zero before a step, what is
computed here holds in that step, so their gradients are zero and they are zero after it, under any optimizer that
leaves a zero parameter with a zero gradient alone (those that momentum still moves are not assumed). So all zero
offsets are assumed at first, and those that might get a gradient are given up until none is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from training.compaction.graph import Graph
from training.compaction.operations.contract import Operation

Units = dict[fx.Node, Tensor]
"""A boolean an unit, for each tensor."""


@dataclass(frozen=True)
class Kept:
    """What is known of every unit."""

    zero: Units
    unread: Units
    wanted: Units
    """What the small network must compute."""


def find_kept(
    graph: Graph, device: torch.device, in_motion: Mapping[str, Tensor], *, every_layer: bool = False
) -> Kept:
    """Units that are zero, unread and wanted. `in_motion` says of parameters which entries move without a gradient.

    With `every_layer` at least one unit of every tensor is wanted.
    """
    for operation in graph.operations:
        if (moving := in_motion.get(f"{operation.node.target}.bias")) is not None:
            operation.assume_less(~moving)
    zero = _zeros(graph, device)
    while _give_up_offsets(graph, zero, device):
        zero = _zeros(graph, device)
    unread = _backward(graph, device, lambda operation, out: operation.irrelevant(out | zero[operation.node]))
    return Kept(zero=zero, unread=unread, wanted=_wanted(graph, zero, device, every_layer))


def _zeros(graph: Graph, device: torch.device) -> Units:
    zero = {graph.images: torch.zeros(graph.shapes[graph.images][0], dtype=torch.bool, device=device)}
    for operation in graph.operations:
        zero[operation.node] = operation.zero([zero[source] for source in operation.sources])
    return zero


def _give_up_offsets(graph: Graph, zero: Units, device: torch.device) -> bool:
    def silent_in(operation: Operation, out: Tensor) -> list[Tensor]:
        silent = operation.irrelevant(out)
        if operation.stops_gradient_at_zero:
            silent = [units | zero[source] for units, source in zip(silent, operation.sources, strict=True)]
        return silent

    silent = _backward(graph, device, silent_in)
    given_up = [operation.assume_less(silent[operation.node]) for operation in graph.operations]
    return any(given_up)


def _backward(graph: Graph, device: torch.device, through: Callable[[Operation, Tensor], list[Tensor]]) -> Units:
    """What holds for a unit if it holds for all that its readers make of it; it never holds for the output."""
    holds = {node: torch.ones(shape[0], dtype=torch.bool, device=device) for node, shape in graph.shapes.items()}
    holds[graph.output] = torch.zeros_like(holds[graph.output])
    for operation in reversed(graph.operations):
        for source, units in zip(operation.sources, through(operation, holds[operation.node]), strict=True):
            holds[source] = holds[source] & units
    return holds


def _wanted(graph: Graph, zero: Units, device: torch.device, every_layer: bool) -> Units:
    """What the output needs, from the output backwards: all logits, and what each operation asks for."""
    wanted = {node: torch.zeros(shape[0], dtype=torch.bool, device=device) for node, shape in graph.shapes.items()}
    wanted[graph.output] = torch.ones_like(wanted[graph.output])
    for operation in reversed(graph.operations):
        if every_layer and not wanted[operation.node].any():
            wanted[operation.node][0] = True
        zero_in = [zero[source] for source in operation.sources]
        asked = operation.demand(wanted[operation.node], zero_in)
        for source, units in zip(operation.sources, asked, strict=True):
            wanted[source] = wanted[source] | units
    return wanted
