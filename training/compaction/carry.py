"""Training that goes on from one network to the next: in between it is a state of the full network.

Masks change between two stretches of a training, and with them the small network. What is carried on is what masked
dense training would carry: the full network's parameters and statistics, and what the optimizer knows of each entry
(momentum, moments, counts of steps). Of removed entries it knows nothing here: they never return.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.compaction.compact import Compacted
from training.config import TrainingConfig
from training.optimizer import decay_groups
from training.state import MODEL, OPTIMIZER, State, known_by_parameter, network_state


@dataclass(frozen=True)
class _Piece:
    """Entries of a parameter of the small network that sit in one of the full network. Both by name."""

    small: str
    full: str
    there: tuple[Tensor, ...]
    """Indices; flat ones of entries that are left out."""
    here: slice | None = None
    """The part of a flat parameter that entries left out are; None where the small parameter is the piece."""

    def put(self, known: Tensor, full: Tensor) -> None:
        """Write into the full network's tensor what the small one knows."""
        if self.here is None:
            full[self.there] = known
        else:
            full.view(-1)[self.there] = known.flatten()[self.here]

    def take(self, known: Tensor, small: Tensor) -> None:
        """Write into the small network's tensor what the full one knows."""
        if self.here is None:
            small.copy_(known[self.there])
        else:
            small.view(-1)[self.here] = known.flatten()[self.there]


class Carry:
    """Between a small network in training and the states of its full network."""

    def __init__(self, small: Compacted, model: nn.Module, config: TrainingConfig) -> None:
        """`model` is the full network; `to_full` writes into it."""
        self._small, self._model = small, model
        self._numbers = {net: _numbers(net, config) for net in (small.model, model)}

    def to_full(self, state: State) -> State:
        """The full network's state; `state` is the small one's as it stands now. The full network is put there too."""
        self._small.restore_into(self._model)
        return self._translated(state, self._small.model, self._model)

    def of_full(self, state: State) -> State:
        """The small network's state where the full one's is `state`: the small network was made of it."""
        return self._translated(state, self._model, self._small.model)

    def _translated(self, state: State, known: nn.Module, wanted: nn.Module) -> State:
        """What the optimizer of one network knows, as that of the other would; the other's tensors are as they are."""
        tensors, facts = state
        known_by_number = known_by_parameter(tensors)
        found = _others(tensors) | network_state(wanted)
        shapes = {name: parameter.shape for name, parameter in wanted.named_parameters()}
        for piece in self._pieces():
            here, there = (piece.small, piece.full) if wanted is self._model else (piece.full, piece.small)
            for key, tensor in known_by_number.get(self._numbers[known][here], {}).items():
                name = f"{OPTIMIZER}{self._numbers[wanted][there]}/{key}"
                if not tensor.dim():
                    found[name] = tensor.clone()
                    continue
                if name not in found:
                    found[name] = tensor.new_zeros(shapes[there])
                (piece.put if wanted is self._model else piece.take)(tensor, found[name])
        return found, facts

    def _pieces(self) -> Iterator[_Piece]:
        """Where every entry of the small network's parameters comes from."""
        parameters = {name for name, _ in self._model.named_parameters()}
        for slot in self._small.slots:
            if slot.full_name in parameters:
                yield _Piece(f"layers.{slot.small_name}", slot.full_name, slot.index)
        for kind, name, index, here in self._small.model.idle.places:
            yield _Piece(f"idle.{kind}", name, (index,), here)


def in_motion(model: nn.Module, state: State, config: TrainingConfig) -> dict[str, Tensor]:
    """By bias or offset of the full `model`: True for entries that the optimizer may move without a gradient."""
    found, known = {}, known_by_parameter(state[0])
    for name, number in _numbers(model, config).items():
        if name.endswith("bias"):
            moving = [tensor != 0 for tensor in known.get(number, {}).values() if tensor.dim()]
            if moving:
                found[name] = torch.stack(moving).any(0)
    return found


def _numbers(model: nn.Module, config: TrainingConfig) -> dict[str, int]:
    """The number of each parameter in the configured optimizer, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    ordered = [one for group in decay_groups(model.parameters(), config) for one in group["params"]]  # type: ignore[attr-defined]
    return {names[id(parameter)]: number for number, parameter in enumerate(ordered)}


def _others(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What belongs to neither network nor optimizer: where generators stand."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith((MODEL, OPTIMIZER))}
