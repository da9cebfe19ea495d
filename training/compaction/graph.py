"""Read a network: its operations in order, traced by torch.fx, or the reason why one of them is not understood."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx, nn

from pruning.masks import Masks
from training.compaction.operations.contract import NotUnderstood, Operation
from training.compaction.recognise import Recogniser
from training.compaction.shapes import shapes_of


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
    shapes = shapes_of(traced, input_shape)
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
