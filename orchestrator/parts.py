"""The distinct parts of many configurations, numbered: a million trials are a table of small numbers.

A grid of a million points has few data sets, models, pruners, recipes and seeds. Each is kept once, and a point or a
trial is a row of their numbers; its `TrialConfig` is made when somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.config import TrialConfig

PARTS = ("dataset", "model", "pruner", "density", "seeds", "training", "levels")
"""The fields of a `TrialConfig`."""


class Parts:
    """Parts by name, each numbered from 0 in the order in which it came."""

    def __init__(self) -> None:
        self.of: dict[str, list[Any]] = {name: [] for name in PARTS}
        self._numbers: dict[str, dict[Any, int]] = {name: {} for name in PARTS}

    def number(self, name: str, part: Any) -> int:
        """The part's number; a new one where it is new."""
        numbers = self._numbers[name]
        if part not in numbers:
            numbers[part] = len(numbers)
            self.of[name].append(part)
        return numbers[part]

    def numbers(self, config: TrialConfig) -> dict[str, int]:
        """A configuration as numbers."""
        return {name: self.number(name, getattr(config, name)) for name in PARTS}

    def config(self, numbers: Mapping[str, int]) -> TrialConfig:
        """The configuration with these numbers; other keys are not looked at."""
        return TrialConfig(**{name: self.of[name][numbers[name]] for name in PARTS})
