"""Read a network: its operations in order, traced by torch.fx, or the reason why one of them is not understood."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import fx, nn

from pruning.masks import Masks
from training.compaction.operations.contract import NotUnderstood, Operation
from training.compaction.recognise import Recogniser
from training.compaction.shapes import shapes_of
from training.state import Noise, load_noise_state, noise_state


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
    with _generators_as_found(next(model.parameters()).device):
        traced = _trace(model)
        shapes = shapes_of(traced, input_shape)
    nodes = list(traced.graph.nodes)
    images, *others = [node for node in nodes if node.op == "placeholder"]
    if others:
        raise NotUnderstood(f"the network takes further inputs: {', '.join(node.name for node in others)}")
    output = nodes[-1].args[0]
    if not isinstance(output, fx.Node):
        raise NotUnderstood("the network returns more than one tensor")
    if len(shapes.get(output, ())) != 1:
        raise NotUnderstood("the network does not return one row of logits an image")
    modules = dict(model.named_modules(remove_duplicate=False))
    reader = Recogniser(modules, masks, shapes)
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


@contextmanager
def _generators_as_found(device: torch.device) -> Iterator[None]:
    found = noise_state(device)
    try:
        yield
    finally:
        load_noise_state(device, *found)


def _trace(model: nn.Module) -> fx.GraphModule:
    """Traced in both modes: a network that takes another way in training cannot be read from one of them."""
    was_training = {module: module.training for module in model.modules()}
    device, kind = next(model.parameters()).device, type(model).__name__
    found = noise_state(device)
    try:
        train, evaluate = (_trace_in(model, mode) for mode in (True, False))
    except NotUnderstood:
        raise
    except Exception as error:  # whatever a user's forward pass does with a proxy
        raise NotUnderstood(f"torch.fx cannot trace {kind}: {error}") from error
    finally:
        for module, mode in was_training.items():
            module.training = mode
    if not _are_equal(found, noise_state(device)):
        raise NotUnderstood(f"{kind} draws random numbers in Python: its next forward pass may be another")
    if str(train) != str(evaluate):
        raise NotUnderstood(f"{kind} computes differently in train and in eval mode")
    return fx.GraphModule(model, train)


def _trace_in(model: nn.Module, mode: bool) -> fx.Graph:
    model.train(mode)
    for name, module in model.named_modules():
        if module.training != mode:
            raise NotUnderstood(
                f"{name or type(model).__name__} does not follow train({mode}): frozen, or always random"
            )
    return fx.Tracer().trace(model)


def _are_equal(first: Noise, second: Noise) -> bool:
    (tensors, facts), (others, other_facts) = first, second
    return facts == other_facts and all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())
