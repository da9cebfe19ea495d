"""Wiring found by probing, against networks whose wiring is written down here."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pruning.wiring import Wiring, wiring
from tests.pruning.networks import INPUT_SHAPE, NETWORKS, build


def feeds(wires: Wiring) -> set[tuple[int, int]]:
    return {(int(unit), int(slot)) for unit, slot in wires.feeds.T}


def test_a_chain_of_linear_layers() -> None:
    wires = wiring(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3)), torch.Size((1, 2, 2)))
    # Units: input 0, hidden 1 2, output 3 4 5. Slots: pixels 0 1 2 3, then 4 5.
    assert feeds(wires) == {(0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (2, 5)}
    assert wires.outputs.tolist() == [3, 4, 5]
    assert wires.layer_of_unit.tolist() == [0, 1, 1, 2, 2, 2]
    assert wires.layer_of_slot.tolist() == [1, 1, 1, 1, 2, 2]
    slot, unit, useful = wires.weights["3.weight"]
    assert slot.tolist() == [4, 5] * 3
    assert unit.tolist() == [3, 3, 4, 4, 5, 5]
    assert useful.all()


def test_a_residual_block_feeds_through_its_branch_and_past_it() -> None:
    wires = wiring(build("bypassed"), torch.Size(INPUT_SHAPE))
    stem, hidden, branch = range(1, 7), range(7, 11), range(11, 17)  # units; 0 is the input
    into_branch, into_last, into_classifier = 1, 7, 11  # first slots
    expected = {(0, 0)}
    expected |= {(unit, into_branch + index) for index, unit in enumerate(stem)}
    expected |= {(unit, into_last + index) for index, unit in enumerate(hidden)}
    for units in (stem, branch):  # both reach all 64 positions of their channel
        expected |= {(unit, into_classifier + 64 * i + place) for i, unit in enumerate(units) for place in range(64)}
    assert feeds(wires) == expected


def test_a_grouped_convolutions_weights_join_channels_of_their_group() -> None:
    model = nn.Sequential(nn.Conv1d(2, 4, 1), nn.ReLU(), nn.Conv1d(4, 2, 3, groups=2, padding=1), nn.Flatten())
    slot, unit, _ = wiring(model, torch.Size((2, 5))).weights["2.weight"]
    assert slot.tolist() == [slot for channel in (2, 3, 4, 5) for slot in [channel] * 3]
    assert unit.tolist() == [6] * 6 + [7] * 6


def test_a_transposed_convolutions_weights_join_channels_of_their_group() -> None:
    layer = nn.ConvTranspose1d(4, 6, 3, groups=2)
    wires = wiring(nn.Sequential(layer, nn.Flatten()), torch.Size((4, 5)))
    assert wires.layer_of_unit.tolist() == [0] * 4 + [1] * 6
    assert wires.layer_of_slot.tolist() == [1] * 4
    slot, unit, useful = wires.weights["0.weight"]
    expected = torch.zeros(4, 6)
    for channel in range(4):  # what switching one input channel on reaches
        images = torch.zeros(1, 4, 5)
        images[0, channel] = 1
        expected[channel] = (layer(images) != layer(torch.zeros(1, 4, 5))).any(2)[0]
    joined = torch.zeros(4, 6)
    joined.index_put_((slot, unit - 4), torch.ones(len(slot)), accumulate=True)
    assert torch.equal(joined, 3 * expected)
    assert useful.all()


def test_kernel_entries_that_see_padding_only_are_useless() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(), nn.Linear(1, 2))
    useful = wiring(model, torch.Size((1, 1, 1))).weights["0.weight"][2]
    assert useful.tolist() == [False] * 4 + [True] + [False] * 4


@pytest.mark.parametrize("network", NETWORKS)
def test_the_model_is_left_untouched_and_its_weights_do_not_matter(network: str) -> None:
    model = build(network)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = wiring(model, torch.Size(INPUT_SHAPE))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    second = wiring(model, torch.Size(INPUT_SHAPE))
    assert torch.equal(first.feeds, second.feeds)
    assert torch.equal(first.outputs, second.outputs)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(torch.relu(self.layer(inputs)))


class Minus(Twice):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(-self.layer(inputs))


class Folding(Minus):
    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.layer(inputs).reshape(1, -1, 4)).flatten(0, 1)


class Pair(Minus):
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return self.last(self.layer(inputs)), inputs


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Twice(), "layer to be used once: layer is used again"),
        (Minus(), "non-negative flow: last is fed negative values"),
        (Folding(), "cannot follow what happens to the batch before last"),
        (Pair(), "need Pair to return one tensor"),
        (tied(), "a weight of its own: 2 shares its weight"),
        (nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)), "map zero to zero: 2 is fed constants"),
    ],
)
def test_what_probing_cannot_follow_is_refused_with_the_layers_name(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wiring(model, torch.Size((4,)))
