"""Prunings at initialisation that were already done: trials that differ in training alone share them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from training.config import TrialConfig
from training.pruned import Pruning

MEMORY_BYTES = 512 * 2**20
"""Of masks, one byte a weight; the longest unused go first."""


class KnownPrunings:
    """What each pruning of an untrained network left, by everything that determines it."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], Pruning] = OrderedDict()

    def recall(self, config: TrialConfig, prune: Callable[[], Pruning]) -> Pruning:
        """The pruning of a trial: known, or done now. That of a trained network is always done now."""
        if config.levels.pre_epochs:
            return prune()
        key = (config.dataset, config.model, config.seeds.init, config.seeds.prune, config.pruner, config.density)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        self._known[key] = found = prune()
        while len(self._known) > 1 and sum(one.num_weights for one in self._known.values()) > MEMORY_BYTES:
            self._known.popitem(last=False)
        return found
