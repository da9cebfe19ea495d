"""PHEW (Patil and Dovrolis, ICML 2021, arXiv:2010.11354): paths with higher edge weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruning.criteria.contract import PruneSet
from pruning.masks import Scores
from pruning.prunable import prunable_kinds, prunable_weights
from pruning.wiring import Wiring, wiring

MOST_WALKS_AT_ONCE = 16384
RARE = 1e-3
"""Walks end when fewer than this share of their steps meets a new weight."""


class Phew:
    """Weights in the order in which random walks meet them: S falls with the place in that order.

    A walk goes from an input to an output, or back: from a unit u along one of its weights with probability
    |theta| / (sum of |theta| over u's weights). Forward and backward walks take turns, and so do the units they start
    from. Keeping the highest scores is walking until the budget is spent, the last walk cut off where it is; one order
    serves every density, and what is kept lies on paths from input to output, save for the end of the last walk.

    Where a unit feeds several layers (a residual branch and its shortcut) each is as likely, as in the authors' code;
    likewise the positions that flattening makes of a channel. The wiring is found by probing (`pruning.wiring`), so
    any network of supported operations can be walked; the authors' code assumes its own ResNets' layer order. A walk
    that leads nowhere (an unused head, zeros) does not count. Weights of a kernel that only ever see padding are never
    walked. Walks end when they have met `coverage` of the weights, or hardly meet new ones: what is left ranks below,
    by magnitude. (0.9 of VGG-16 is some ten million walks, about a minute on one core, once for all densities of a
    seed; a sweep of densities up to 0.1 gets the same masks from a coverage of 0.1, sooner.)
    Walks run on the CPU whatever the device, from the generator's seed: a GPU would sum in no fixed order.
    """

    def __init__(self, coverage: float = 0.9) -> None:
        if not 0 < coverage <= 1:
            raise ValueError(f"phew's coverage {coverage}: expected a share of the weights, above 0 and up to 1")
        self.coverage = coverage

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Place of each weight in the order of walks, highest first; below 1 for weights that no walk met."""
        if prunable_kinds(model) != {"weights"}:
            raise ValueError("phew's walks meet the weights of layers alone: leave prunable at [weights]")
        device = data.inputs.device
        model.cpu()
        weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
        if not all(bool(weight.isfinite().all()) for weight in weights.values()):
            return {name: torch.where(weight.isfinite(), 0.0, torch.nan).to(device) for name, weight in weights.items()}
        strengths = torch.cat([weight.abs().double().flatten() for weight in weights.values()])
        network = _Network.of(wiring(model, data.inputs.shape[1:]), weights)
        source = torch.Generator().manual_seed(generator.initial_seed())
        order = _order_of_visits(network, source, self.coverage * len(strengths))
        scores = strengths / (2 * strengths.max().clamp(min=torch.finfo(torch.float64).tiny))
        scores[order] = torch.arange(len(order), 0, -1, dtype=torch.float64)
        parts = scores.to(device).split([weight.numel() for weight in weights.values()])
        return {name: part.view(weight.shape) for (name, weight), part in zip(weights.items(), parts, strict=True)}


@dataclass(frozen=True)
class _Choice:
    """Weighted alternatives by state: drawing one is a search in the running sum."""

    alternatives: Tensor
    sums: Tensor
    """Running sums of the alternatives' weights, those of a state together, after a leading 0."""
    starts: Tensor
    """Where each state's alternatives start; one more entry than states."""

    @classmethod
    def of(cls, states: Tensor, alternatives: Tensor, weights: Tensor, num_states: int) -> _Choice:
        possible = weights > 0
        states, alternatives, weights = states[possible], alternatives[possible], weights[possible]
        order = states.argsort(stable=True)
        starts = torch.searchsorted(states[order], torch.arange(num_states + 1, device=states.device))
        return cls(alternatives[order], torch.cat([weights.new_zeros(1), weights[order].cumsum(0)]), starts)

    def draw(self, states: Tensor, generator: torch.Generator) -> Tensor:
        """One alternative for each state; -1 where there is none. State -1 has none."""
        if not len(self.alternatives):
            return torch.full_like(states, -1)
        first, end = self.starts[states.clamp(min=0)], self.starts[states.clamp(min=0) + 1]
        chances = torch.rand(states.shape, generator=generator, dtype=torch.float64, device=states.device)
        points = self.sums[first] + chances * (self.sums[end] - self.sums[first])
        found = torch.searchsorted(self.sums[1:], points, right=True)
        found = torch.maximum(torch.minimum(found, end - 1), first).clamp(0, len(self.alternatives) - 1)
        return torch.where((states < 0) | (first == end), -1, self.alternatives[found])


@dataclass(frozen=True)
class _Network:
    """The chain that walks follow. States are units; a step is a choice of reader, then of a weight."""

    slot_of_unit: _Choice
    """Forward: a unit's readers. The network's output is one, numbered after all slots."""
    weight_of_slot: _Choice
    weight_into_unit: _Choice
    """Backward: a unit's own weights."""
    unit_of_slot: _Choice
    slot_of_weight: Tensor
    unit_of_weight: Tensor
    num_input_units: int
    num_slots: int
    first_slots: Tensor
    last_units: Tensor
    """Where forward and backward walks start, in turn."""
    num_walkable: int

    @classmethod
    def of(cls, wires: Wiring, weights: dict[str, Tensor]) -> _Network:
        device = wires.feeds.device
        num_units, num_slots = len(wires.layer_of_unit), len(wires.layer_of_slot)
        slot_of_weight, unit_of_weight, strengths = [], [], []
        for name, weight in weights.items():
            if name in wires.weights:
                slot, unit, useful = wires.weights[name]
                strengths.append(weight.abs().double().flatten() * useful)
            else:  # a layer that the forward pass does not use
                slot = unit = torch.zeros(weight.numel(), dtype=torch.long, device=device)
                strengths.append(torch.zeros(weight.numel(), dtype=torch.float64, device=device))
            slot_of_weight.append(slot)
            unit_of_weight.append(unit)
        slots, units, strength = torch.cat(slot_of_weight), torch.cat(unit_of_weight), torch.cat(strengths)
        entries = torch.arange(len(strength), device=device)
        units_fed, slots_fed = wires.feeds
        # Each reading layer is as likely, and so is each of its slots; the output counts as one more layer.
        to_output = torch.full_like(wires.outputs, num_slots)
        reader = torch.cat([wires.layer_of_slot[slots_fed], torch.zeros_like(wires.outputs)])
        states, readers = torch.cat([units_fed, wires.outputs]), torch.cat([slots_fed, to_output])
        from_input = units_fed < int((wires.layer_of_unit == 0).sum())
        return cls(
            slot_of_unit=_Choice.of(states, readers, _one_over_count(states, reader), num_units),
            weight_of_slot=_Choice.of(slots, entries, strength, num_slots + 1),
            weight_into_unit=_Choice.of(units, entries, strength, num_units),
            unit_of_slot=_Choice.of(
                slots_fed, units_fed, _one_over_count(slots_fed, wires.layer_of_unit[units_fed]), num_slots + 1
            ),
            slot_of_weight=slots,
            unit_of_weight=units,
            num_input_units=int((wires.layer_of_unit == 0).sum()),
            num_slots=num_slots,
            first_slots=slots_fed[from_input].unique(),
            last_units=wires.outputs[wires.layer_of_unit[wires.outputs] > 0].unique(),
            num_walkable=int((strength > 0).sum()),
        )

    def forward_walks(self, starts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(walks, steps) weights from the given slots on, -1 beyond the end; and which walks reached the output."""
        slots, steps = starts, []
        arrived = torch.zeros_like(starts, dtype=torch.bool)
        while bool((slots >= 0).any()):
            weights = self.weight_of_slot.draw(slots, generator)
            steps.append(weights)
            units = _look_up(self.unit_of_weight, weights)
            slots = self.slot_of_unit.draw(units, generator)
            arrived |= slots == self.num_slots
            slots = torch.where(slots == self.num_slots, -1, slots)
        return torch.stack(steps, 1), arrived

    def backward_walks(self, starts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(walks, steps) weights from the given units back; and which walks reached the input."""
        units, steps = starts, []
        arrived = torch.zeros_like(starts, dtype=torch.bool)
        while bool((units >= 0).any()):
            weights = self.weight_into_unit.draw(units, generator)
            steps.append(weights)
            units = self.unit_of_slot.draw(_look_up(self.slot_of_weight, weights), generator)
            arrived |= (units >= 0) & (units < self.num_input_units)
            units = torch.where(units < self.num_input_units, -1, units)
        return torch.stack(steps, 1), arrived


def _order_of_visits(network: _Network, generator: torch.Generator, num_wanted: float) -> Tensor:
    """`num_wanted` weights or more in the order in which walks meet them; fewer if they are hard to meet."""
    met = torch.zeros_like(network.slot_of_weight, dtype=torch.bool)
    order: list[Tensor] = []
    num_met = num_walks = 0
    at_once = 32
    if not len(network.first_slots) or not len(network.last_units):
        return torch.zeros(0, dtype=torch.long, device=met.device)
    while num_met < min(num_wanted, network.num_walkable):
        turns = torch.arange(num_walks, num_walks + at_once, device=met.device)
        walk: list[Tensor] = []
        for go, starts in (
            (network.forward_walks, network.first_slots),
            (network.backward_walks, network.last_units),
        ):
            steps, arrived = go(starts[turns % len(starts)], generator)
            walk.append(steps.masked_fill(~arrived[:, None], -1))
        steps = torch.cat(walk, 1).flatten()  # one forward, one backward, and so on
        steps = steps[steps >= 0]
        new = _first_occurrences(steps[~met[steps]])
        order.append(new)
        met[new] = True
        num_met += len(new)
        num_walks += at_once
        if at_once == MOST_WALKS_AT_ONCE and len(new) <= RARE * len(steps):
            break
        at_once = min(2 * at_once, MOST_WALKS_AT_ONCE)
    return torch.cat(order) if order else torch.zeros(0, dtype=torch.long, device=met.device)


def _first_occurrences(values: Tensor) -> Tensor:
    """The distinct values in the order of their first occurrence."""
    in_order, places = values.sort(stable=True)
    is_first = torch.ones_like(in_order, dtype=torch.bool)
    is_first[1:] = in_order[1:] != in_order[:-1]
    return values[places[is_first].sort().values]


def _one_over_count(states: Tensor, groups: Tensor) -> Tensor:
    """1 / (number of entries of the same state and group)."""
    keys = states * (int(groups.max()) + 1 if len(groups) else 1) + groups
    _, place, counts = keys.unique(return_inverse=True, return_counts=True)
    return 1 / counts[place].double()


def _look_up(table: Tensor, indices: Tensor) -> Tensor:
    return torch.where(indices < 0, -1, table[indices.clamp(min=0)])
