"""Masks that change while the network trains: what the training loop does for a dynamic pruner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import torch
from torch import Tensor, nn

from pruning.dynamic.contract import DynamicPruner, Moment
from pruning.masks import Masks, count_kept
from pruning.prunable import prunable_weights
from pruning.prune import Round
from training.seeds import generator


class MovingMasks:
    """A dynamic pruner at work on one network. Its randomness depends on (seed, step) alone, so it can be taken up."""

    def __init__(self, pruner: DynamicPruner, *, density: Decimal, num_steps: int, seed: int) -> None:
        """Raises ValueError where training is too short for the masks to change at all."""
        if not any(pruner.is_due(Moment(step=step, num_steps=num_steps)) for step in range(1, num_steps + 1)):
            raise ValueError(
                f"{type(pruner).__name__} would never change a mask in {num_steps} steps of training: let it act more "
                "often (its option `every`), or train for more epochs"
            )
        self._pruner, self._density, self._num_steps, self._seed = pruner, density, num_steps, seed
        self.replaces_step = pruner.replaces_step
        """Whether masks change instead of the optimizer's step."""
        self.masks: Masks = {}
        """The masks now; empty before `start`."""
        self.rounds: list[Round] = []
        """One for every change: how many weights were dropped, by magnitude."""

    def start(self, model: nn.Module) -> None:
        """Set the masks that training starts with."""
        weights = prunable_weights(model)
        device = next(iter(weights.values())).device
        self.masks = self._pruner.start(weights, self._density, generator(self._seed, "moving masks", device))

    def is_due(self, step: int) -> bool:
        """Whether masks change with step `step`, 1 being the first."""
        return self._pruner.is_due(Moment(step=step, num_steps=self._num_steps))

    @torch.no_grad()
    def move(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Change the masks after `step`'s gradients. What returns has no memory: its optimizer state is zero."""
        weights = prunable_weights(model)
        gradients = {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad for name, weight in weights.items()
        }
        moment = Moment(step=step, num_steps=self._num_steps)
        device = next(iter(weights.values())).device
        source = generator(self._seed, f"moving masks/{step}", device)
        moved = self._pruner.update(weights, gradients, self.masks, self._density, moment, source)
        for name, weight in weights.items():
            grown = moved[name] & ~self.masks[name]
            for memory in optimizer.state.get(weight, {}).values():
                if isinstance(memory, Tensor) and memory.shape == weight.shape:
                    memory.masked_fill_(grown, 0.0)
        self.rounds.append(_round(len(self.rounds) + 1, weights, self.masks, moved))
        self.masks = moved


def _round(number: int, weights: Mapping[str, Tensor], before: Masks, after: Masks) -> Round:
    magnitudes = {name: weight.abs() for name, weight in weights.items()}
    return Round.of(
        number,
        num_weights=sum(mask.numel() for mask in after.values()),
        num_kept=count_kept(after),
        layer_kept=[int(mask.sum()) for mask in after.values()],
        layer_scores=_sums(magnitudes[name][mask] for name, mask in before.items()),
        score_cut=sum(_sums(magnitudes[name][mask & ~after[name]] for name, mask in before.items())),
    )


def _sums(tensors: Iterable[Tensor]) -> list[float]:
    return torch.stack([tensor.sum(dtype=torch.float64) for tensor in tensors]).tolist()
