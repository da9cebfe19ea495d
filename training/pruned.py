"""What a pruning leaves of a network, and what it means for it."""

from __future__ import annotations

from dataclasses import dataclass

from pruning.masks import Masks
from pruning.prune import Round
from training.record import LayerRecord


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Masks, how they came about, and what of the network they leave. Never changed: trials share it."""

    masks: Masks
    rounds: list[Round]
    layers: list[LayerRecord]
    is_connected: bool

    @property
    def num_weights(self) -> int:
        """Prunable weights of the network."""
        return sum(mask.numel() for mask in self.masks.values())
