"""Read a network: its operations in order, traced by torch.fx, or the reason why one of them is not understood."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import fx, nn

from pruning.masks import Masks
from training.compaction.operations.contract import NotUnderstood, Operation
from training.compaction.operations.layers import BatchNorm
from training.compaction.operations.unitwise import Dropout
from training.compaction.recognise import Recogniser
from training.compaction.shapes import shapes_of
from training.state import Noise, load_noise_state, noise_state


@dataclass(frozen=True)
class Graph:
    """A traced network that is understood throughout."""

    images: fx.Node
    operations: list[Operation]
    """In order of computation, without those that the output is not computed from."""
    output: fx.Node
    """The tensor that the network returns, logits (n, classes)."""
    shapes: dict[fx.Node, tuple[int, ...]]
    """Of each tensor, without the batch."""
    parameters: set[str]
    """Names of those that the output is computed from; all others never get a gradient, not even one of zero."""


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
    operations = [reader.read(node) for node in nodes if node in shapes and node is not images]
    live = _read_by(output)
    _refuse_dead_that_matter([operation for operation in operations if operation.node not in live])
    operations = [operation for operation in operations if operation.node in live]
    parameters = {name for node in live for name in _parameters_of(node, modules)}
    return Graph(images=images, operations=operations, output=output, shapes=shapes, parameters=parameters)


def _read_by(output: fx.Node) -> set[fx.Node]:
    """`output` and all that it is computed from."""
    live, ahead = set(), [output]
    while ahead:
        node = ahead.pop()
        if node not in live:
            live.add(node)
            ahead += node.all_input_nodes
    return live


def _parameters_of(node: fx.Node, modules: dict[str, nn.Module]) -> list[str]:
    if node.op != "call_module":
        return []
    return [f"{node.target}.{name}" for name, _ in modules[str(node.target)].named_parameters()]


def _refuse_dead_that_matter(dead: list[Operation]) -> None:
    """A result that nothing is made of may still be noticed: statistics move, generators are drawn from."""
    for operation in dead:
        if isinstance(operation, BatchNorm | Dropout):
            raise NotUnderstood(f"the result of {operation.node.target} is not used, but it keeps a state or draws")


# Private, but the only way to know: a hook may change anything, and tracing would not see it.
_HOOKS_OF_MODULES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS_OF_TENSORS = ("_backward_hooks", "_post_accumulate_grad_hooks")


def _refuse_what_tracing_misses(model: nn.Module) -> None:
    owners: dict[int, str] = {}
    if torch.nn.modules.module._has_any_global_hook():
        raise NotUnderstood("all modules have hooks")
    for name, module in model.named_modules():
        if any(getattr(module, hooks) for hooks in _HOOKS_OF_MODULES):
            raise NotUnderstood(f"{name or type(model).__name__} has hooks")
        if "forward" in vars(module):
            raise NotUnderstood(f"{name or type(model).__name__} has a forward of its own, not its class's")
        if nn.utils.parametrize.is_parametrized(module):
            raise NotUnderstood(f"{name} computes its parameters")
        for parameter_name, parameter in module.named_parameters(recurse=False):
            full_name = f"{name}.{parameter_name}"
            if any(getattr(parameter, hooks) for hooks in _HOOKS_OF_TENSORS):
                raise NotUnderstood(f"{full_name} has hooks")
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
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
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
        for module, name, buffer, content in buffers:  # a forward pass may count its calls
            module._buffers[name] = buffer.copy_(content)
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
