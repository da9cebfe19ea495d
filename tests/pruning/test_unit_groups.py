"""Groups of units and slots: written down for small networks, and against probing one unit at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.cifar_resnet import resnet20
from models.mobilenet import mobilenet_v2
from models.wrn import wrn16_4
from pruning.prunable import prunable_weights
from pruning.unit_groups import UnitGroups, unit_groups
from pruning.wiring import wiring
from tests.pruning.networks import INPUT_SHAPE, NETWORKS, build

INPUT = "input"


def closed_groups(groups: UnitGroups) -> set[str]:
    """Each closed group as its units, an arrow and its slots: "a0 b0 > c0"."""
    units: dict[int, list[str]] = {}
    slots: dict[int, list[str]] = {}
    for of, into in ((groups.of_units, units), (groups.of_slots, slots)):
        for name, numbers in of.items():
            for index, group in enumerate(numbers.tolist()):
                into.setdefault(group, []).append(f"{name.removesuffix('.weight')}{index}")
    closed = groups.is_closed.nonzero().flatten().tolist()
    return {f"{' '.join(units.get(group, []))} > {' '.join(slots.get(group, []))}" for group in closed}


def groups_of(model: nn.Module, *input_shape: int) -> set[str]:
    return closed_groups(unit_groups(model, input_shape))


class Branches(nn.Module):
    """Layers a, b and c by name, joined by what a test says."""

    def __init__(self, joined: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._joined = joined

    def forward(self, inputs: Tensor) -> Tensor:
        return self._joined(self, inputs)


def test_a_chain_pairs_each_unit_with_its_reader() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    assert groups_of(model, 1, 2, 2) == {"10 > 30", "11 > 31"}  # layers 1 and 3


def test_a_flattened_channel_is_read_at_each_of_its_positions() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))
    assert groups_of(model, 1, 4, 4) == {"00 > 40 41 42 43", "01 > 44 45 46 47"}


def test_a_grouped_convolution_has_a_slot_for_each_channel_it_reads() -> None:
    model = nn.Sequential(nn.Conv1d(2, 4, 1), nn.ReLU(), nn.Conv1d(4, 2, 3, groups=2, padding=1), nn.Flatten())
    assert groups_of(model, 2, 5) == {f"0{channel} > 2{channel}" for channel in range(4)}


def test_a_residual_stream_joins_all_that_write_and_all_that_read_a_channel() -> None:
    model = Branches(
        lambda m, x: m.d((y := torch.relu(m.a(x))) + torch.relu(m.c(torch.relu(m.b(y))))),
        a=nn.Linear(3, 2), b=nn.Linear(2, 2), c=nn.Linear(2, 2), d=nn.Linear(2, 2),
    )  # fmt: skip
    assert groups_of(model, 3) == {"a0 c0 > b0 d0", "a1 c1 > b1 d1", "b0 > c0", "b1 > c1"}


def test_concatenated_layers_keep_their_channels_apart() -> None:
    model = Branches(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)), a=nn.Linear(3, 2), b=nn.Linear(3, 2), c=nn.Linear(4, 2)
    )
    assert groups_of(model, 3) == {"a0 > c0", "a1 > c1", "b0 > c2", "b1 > c3"}


def test_channels_that_mix_are_one_group() -> None:
    model = Branches(
        lambda m, x: m.b(m.a(x).view(-1, 3, 2).sum(2)), a=nn.Linear(3, 6), b=nn.Linear(3, 2)
    )  # truly three groups of two units: coarser, and balanced all the same
    assert groups_of(model, 3) == {"a0 a1 a2 a3 a4 a5 > b0 b1 b2"}


def test_padded_channels_are_written_by_the_wider_layers_alone() -> None:
    model = Branches(
        lambda m, x: m.c(nn.functional.pad(m.a(x), (0, 1)) + m.b(x)), a=nn.Linear(3, 1), b=nn.Linear(3, 2),
        c=nn.Linear(2, 2),
    )  # fmt: skip
    assert groups_of(model, 3) == {"a0 b0 > c0", "b1 > c1"}


def test_a_layer_that_is_used_twice_or_shares_its_weight_is_one_layer() -> None:
    twice = Branches(
        lambda m, x: m.c(torch.relu(m.b(torch.relu(m.b(m.a(x)))))), a=nn.Linear(3, 1), b=nn.Linear(1, 1),
        c=nn.Linear(1, 2),
    )  # fmt: skip
    assert groups_of(twice, 3) == {"a0 b0 > b0 c0"}
    tied = Branches(
        lambda m, x: m.c(torch.relu(m.tied(torch.relu(m.b(m.a(x)))))), a=nn.Linear(3, 1), b=nn.Linear(1, 1),
        tied=nn.Linear(1, 1), c=nn.Linear(1, 2),
    )  # fmt: skip
    tied.tied.weight = tied.b.weight
    assert groups_of(tied, 3) == {"a0 b0 > b0 c0"}
    assert set(unit_groups(tied, (3,)).of_units) == set(prunable_weights(tied))


def test_what_the_input_feeds_and_the_output_sees_is_not_closed() -> None:
    image_in_the_stream = Branches(lambda m, x: m.b(x + m.a(x)), a=nn.Linear(2, 2), b=nn.Linear(2, 2))
    assert groups_of(image_in_the_stream, 2) == set()
    two_heads = Branches(lambda m, x: [y := m.a(x), m.b(y)], a=nn.Linear(2, 2), b=nn.Linear(2, 2))  # type: ignore[arg-type, return-value]
    assert groups_of(two_heads, 2) == set()


def test_layers_around_what_cannot_be_followed_are_not_closed_and_the_others_are() -> None:
    read_directly = Branches(
        lambda m, x: m.d(nn.functional.linear(m.b(m.a(x)), m.c.weight)), a=nn.Linear(2, 1), b=nn.Linear(1, 2),
        c=nn.Linear(2, 2), d=nn.Linear(2, 2),
    )  # fmt: skip
    assert groups_of(read_directly, 2) == {"a0 > b0"}
    groups = unit_groups(read_directly, (2,))
    assert set(groups.of_units) == {"a.weight", "b.weight", "d.weight"}
    constants = Branches(
        lambda m, x: m.c(torch.sigmoid(m.b(m.a(x)))), a=nn.Linear(2, 1), b=nn.Linear(1, 2), c=nn.Linear(2, 2)
    )
    assert groups_of(constants, 2) == {"a0 > b0"}
    dropped = Branches(lambda m, x: m.b(m.a(x)[:, :1]), a=nn.Linear(2, 2), b=nn.Linear(1, 2))
    assert groups_of(dropped, 2) == {"a0 > b0"}


def test_a_gates_units_are_read_by_no_layer() -> None:
    gated = Branches(
        lambda m, x: m.c((y := m.a(x)) * torch.sigmoid(m.b(y))), a=nn.Linear(2, 1), b=nn.Linear(1, 1), c=nn.Linear(1, 2)
    )
    assert groups_of(gated, 2) == {"a0 > b0 c0"}


def test_rows_of_the_batch_that_mix_are_refused_by_name() -> None:
    folding = Branches(lambda m, x: m.b(m.a(x).reshape(1, -1, 2)).flatten(0, 1), a=nn.Linear(2, 2), b=nn.Linear(2, 2))
    with pytest.raises(ValueError, match="what happens to the batch before b"):
        unit_groups(folding, (2,))
    with pytest.raises(ValueError, match="only where Branches returns tensors"):
        unit_groups(Branches(lambda m, x: None, a=nn.Linear(2, 2)), (2,))  # type: ignore[arg-type, return-value]


def probed_one_by_one(model: nn.Module, input_shape: tuple[int, ...]) -> set[str]:
    """The same groups from `wiring`, joined by repeated search."""
    wires = wiring(model, torch.Size(input_shape))
    names = [INPUT, *wires.weights]

    def labels(layer_of: Tensor) -> list[str]:
        count: dict[int, int] = {}
        found = []
        for layer in layer_of.tolist():
            found.append(f"{names[layer].removesuffix('.weight')}{count.setdefault(layer, 0)}")
            count[layer] += 1
        return found

    units, slots = labels(wires.layer_of_unit), labels(wires.layer_of_slot)
    readers: dict[int, set[int]] = {}
    writers: dict[int, set[int]] = {}
    for unit, slot in wires.feeds.T.tolist():
        readers.setdefault(unit, set()).add(slot)
        writers.setdefault(slot, set()).add(unit)
    outside = set(wires.outputs.tolist()) | set((wires.layer_of_unit == 0).nonzero().flatten().tolist())
    found = set()
    left = set(readers)
    while left:
        mine, its_slots = {left.pop()}, set()
        while True:
            its_slots = {slot for unit in mine for slot in readers[unit]}
            grown = {unit for slot in its_slots for unit in writers[slot]}
            if grown == mine:
                break
            mine = grown
        left -= mine
        if not mine & outside:
            found.add(f"{' '.join(units[u] for u in sorted(mine))} > {' '.join(slots[s] for s in sorted(its_slots))}")
    return found


def in_order(groups: set[str]) -> set[tuple[frozenset[str], frozenset[str]]]:
    return {
        (frozenset(units.split()), frozenset(slots.split())) for units, slots in (one.split(" > ") for one in groups)
    }


@pytest.mark.parametrize("network", NETWORKS)
def test_groups_are_those_of_probing_one_unit_at_a_time(network: str) -> None:
    model = build(network)
    found = closed_groups(unit_groups(model, INPUT_SHAPE))
    assert found
    assert in_order(found) == in_order(probed_one_by_one(model, INPUT_SHAPE))


@pytest.mark.parametrize(
    "model",
    [
        lambda: resnet20(input_shape=(3, 8, 8), num_classes=10, width=4),
        lambda: resnet20(input_shape=(3, 8, 8), num_classes=10, width=4, shortcut="padding"),
        lambda: wrn16_4(input_shape=(3, 8, 8), num_classes=10),
    ],
    ids=["projection", "padding", "pre-activation"],
)
def test_so_are_those_of_deep_residual_networks(model: Callable[[], nn.Module]) -> None:
    built = model()
    assert in_order(closed_groups(unit_groups(built, (3, 8, 8)))) == in_order(probed_one_by_one(built, (3, 8, 8)))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_model_is_left_untouched_and_its_weights_do_not_matter(network: str) -> None:
    model = build(network)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert list(unit_groups(model, INPUT_SHAPE).of_units) == list(prunable_weights(model))
    first = unit_groups(model, INPUT_SHAPE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.zero_().sub_(1)
    assert closed_groups(unit_groups(model, INPUT_SHAPE)) == closed_groups(first)


def test_every_layer_of_a_shipped_network_but_the_last_is_in_closed_groups() -> None:
    groups = unit_groups(mobilenet_v2(input_shape=(3, 32, 32), num_classes=10), (3, 32, 32))
    *hidden, last = groups.of_units.items()
    assert all(bool(groups.is_closed[units].all()) for _, units in hidden)
    assert last[0] == "classifier.1.weight"
    assert not groups.is_closed[last[1]].any()
