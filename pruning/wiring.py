"""Which unit of a network feeds which: found by probing, so any composition of supported operations will do.

A unit is an output channel of a prunable layer, or a channel of the input; a slot is an input channel of a prunable
layer (an input feature of a linear one). One unit at a time is switched on, all other layers are silent, and every slot
that then sees something is fed by that unit. Between prunable layers there may be normalisation and pooling modules,
sums, concatenations, reshapings and activations that map zero to zero and are positive for positive input.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning.connectivity import _replace_pooling_and_normalisation
from pruning.linear_view import to_linear_view
from pruning.prunable import PRUNABLE_LAYERS, TRANSPOSED_LAYERS, prunable_weights

UNITS_AT_ONCE = 64

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Forward = Callable[[str, Layer, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Pairs of (unit, slot) that are connected without a weight between them, and the weights between slots and units.

    Units and slots are numbered layer by layer in the model's order; the input's units come first.
    """

    feeds: Tensor
    """(2, n) units and the slots that they feed."""
    outputs: Tensor
    """Units that the network's output sees."""
    layer_of_unit: Tensor
    layer_of_slot: Tensor
    """Number of the layer; the input is 0."""
    weights: dict[str, tuple[Tensor, Tensor, Tensor]]
    """Per prunable weight: for each entry its slot, its unit, and whether it ever sees more than padding."""


@torch.no_grad()
def wiring(model: nn.Module, input_shape: torch.Size) -> Wiring:
    """Wiring of `model`, which is left untouched, for one input of `input_shape` (channels first, no batch).

    Raises ValueError naming the layer for what probing cannot follow: a layer that is used twice, one that is fed
    constants or negative values, an output that is no tensor.
    """
    probe = copy.deepcopy(model).float()  # only whether something arrives matters, in half the memory
    _replace_pooling_and_normalisation(probe)
    to_linear_view(probe)
    tied = prunable_weights(probe)
    first_name = {id(weight): name for name, weight in tied.items()}
    layers = {name: module for name, module in probe.named_modules() if isinstance(module, PRUNABLE_LAYERS)}
    reference = next(iter(tied.values()))
    images = torch.ones(1, *input_shape, dtype=reference.dtype, device=reference.device)

    shapes: dict[str, torch.Size] = {}
    useful: dict[str, Tensor] = {}
    originals = {name: module.forward for name, module in layers.items()}

    def record(name: str, module: Layer, inputs: Tensor) -> Tensor:
        if name in shapes:
            raise ValueError(f"walks need every layer to be used once: {name} is used again")
        with torch.enable_grad():
            outputs = originals[name](torch.ones_like(inputs))
            (reached,) = torch.autograd.grad(outputs.sum(), module.weight)
        shapes[name] = outputs.shape[1:]
        useful[name] = (reached > 0).flatten()
        return torch.ones_like(outputs)

    for weight in tied.values():
        weight.requires_grad_()
    with _replaced(layers, record):
        probe(images)

    used = {name: module for name, module in layers.items() if name in shapes}
    first_unit, first_slot = [0, input_shape[0]], [0]
    for module in used.values():
        num_slots, num_units = module.weight.shape[1] * _groups(module), module.weight.shape[0]
        if isinstance(module, TRANSPOSED_LAYERS):
            num_slots, num_units = num_units, num_slots
        first_unit.append(first_unit[-1] + num_units)
        first_slot.append(first_slot[-1] + num_slots)

    pairs: list[Tensor] = []
    outputs: list[Tensor] = []
    for source, name in enumerate([None, *used]):
        num_units = first_unit[source + 1] - first_unit[source]
        for some in torch.arange(num_units, device=reference.device).split(UNITS_AT_ONCE):
            seen, out = _switch_on(probe, used, shapes, name, some, images)
            for index, slots in enumerate(seen):
                unit, slot = slots.nonzero(as_tuple=True)
                pairs.append(torch.stack([some[unit] + first_unit[source], slot + first_slot[index]]))
            outputs.append(some[out] + first_unit[source])

    weights = {}
    for index, (name, module) in enumerate(used.items()):
        key = first_name.get(id(module.weight))
        if key is None or key in weights:
            raise ValueError(f"walks need every layer to have a weight of its own: {name} shares its weight")
        slot, unit = _ends(module)
        weights[key] = (slot + first_slot[index], unit + first_unit[index + 1], useful[name])
    unit_sizes = torch.tensor(first_unit).diff()
    slot_sizes = torch.tensor(first_slot).diff()
    return Wiring(
        feeds=torch.cat(pairs, 1),
        outputs=torch.cat(outputs),
        layer_of_unit=torch.arange(len(unit_sizes)).repeat_interleave(unit_sizes).to(reference.device),
        layer_of_slot=torch.arange(1, len(slot_sizes) + 1).repeat_interleave(slot_sizes).to(reference.device),
        weights=weights,
    )


def _switch_on(
    model: nn.Module,
    layers: dict[str, Layer],
    shapes: dict[str, torch.Size],
    source: str | None,
    units: Tensor,
    images: Tensor,
) -> tuple[list[Tensor], Tensor]:
    """Which slots of each layer (columns) each of `units` of `source` feeds (rows), and which units the output sees.

    `source` None is the input. A last row with nothing switched on looks for constants.
    """
    rows = torch.arange(len(units), device=units.device)
    seen: dict[str, Tensor] = {}

    def silent(name: str, module: Layer, inputs: Tensor) -> Tensor:
        if inputs.shape[0] != len(units) + 1:
            raise ValueError(f"walks cannot follow what happens to the batch before {name}")
        channels = inputs.movedim(-1, 1) if isinstance(module, nn.Linear) else inputs
        lowest, highest = channels.reshape(*channels.shape[:2], -1).aminmax(dim=2)
        if (lowest < 0).any():
            raise ValueError(f"walks need non-negative flow: {name} is fed negative values by what comes before it")
        fed = highest > 0
        if fed[-1].any():
            raise ValueError(f"walks need activations that map zero to zero: {name} is fed constants")
        seen[name] = fed[:-1]
        signal = inputs.new_zeros(len(units) + 1, *shapes[name])
        if name == source:
            (signal.movedim(-1, 1) if isinstance(module, nn.Linear) else signal)[rows, units] = 1
        return signal

    inputs = images.new_zeros(len(units) + 1, *images.shape[1:])
    if source is None:
        inputs[rows, units] = 1
    with _replaced(layers, silent):
        outputs = model(inputs)
    if not isinstance(outputs, Tensor) or outputs.shape[0] != len(units) + 1:
        raise ValueError(f"walks need {type(model).__name__} to return one tensor with a row for each image")
    return [seen[name] for name in layers], (outputs[:-1].flatten(1) != 0).any(1)


def _ends(module: Layer) -> tuple[Tensor, Tensor]:
    """Input and output channel of each entry of a layer's weight, flat."""
    weight = module.weight
    row = torch.arange(weight.shape[0], device=weight.device)
    column = torch.arange(weight.shape[1], device=weight.device)
    rows_a_group = weight.shape[0] // _groups(module)
    columns = column[None, :] + (row // rows_a_group * weight.shape[1])[:, None]
    num_taps = weight[0, 0].numel()
    rows = row[:, None].expand_as(columns)
    slots, units = (rows, columns) if isinstance(module, TRANSPOSED_LAYERS) else (columns, rows)
    return slots.flatten().repeat_interleave(num_taps), units.flatten().repeat_interleave(num_taps)


def _groups(module: Layer) -> int:
    return 1 if isinstance(module, nn.Linear) else module.groups


@contextmanager
def _replaced(layers: dict[str, Layer], forward: Forward) -> Iterator[None]:
    """The layers compute `forward(name, module, inputs)` instead of what they are."""
    for name, module in layers.items():
        vars(module)["forward"] = lambda inputs, name=name, module=module: forward(name, module, inputs)
    try:
        yield
    finally:
        for module in layers.values():
            del vars(module)["forward"]
