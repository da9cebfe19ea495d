"""Processor time of a trial, phase by phase: of the product's own code, watched from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import torch
from torch import Tensor, nn

from pruning.masks import Masks, Scores
from pruning.prune import Pruned
from training.config import DatasetConfig, TrialConfig
from training.context import CohortContext
from training.datasets.contract import Batch, Dataset, Examples

PHASES = ("scoring", "batches", "evaluation", "steps and rest")


class Stopwatch:
    """Processor seconds by phase; time that nobody claimed is "steps and rest"."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._start = time.process_time()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add what happens inside to `phase`. Phases within a phase count for the inner one alone."""
        start, claimed = time.process_time(), sum(self._seconds.values())
        try:
            yield
        finally:
            inner = sum(self._seconds.values()) - claimed
            self._seconds[phase] += time.process_time() - start - inner

    def lap(self) -> dict[str, float]:
        """Seconds since the last lap by phase; starts the next lap."""
        now = time.process_time()
        rest = now - self._start - sum(self._seconds.values())
        found = self._seconds | {"steps and rest": self._seconds["steps and rest"] + rest}
        self._seconds, self._start = dict.fromkeys(PHASES, 0.0), now
        return found


@dataclass(frozen=True, kw_only=True)
class WatchedExamples:
    """A split whose batches are timed: making one is `inside`, and what the caller does with it is `between`."""

    split: Examples
    watch: Stopwatch
    inside: str
    between: str | None = None

    @property
    def labels(self) -> Tensor:
        """As `Examples.labels`."""
        return self.split.labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As `Examples.image_shape`."""
        return self.split.image_shape

    def __len__(self) -> int:
        return len(self.split)

    def to(self, device: torch.device) -> WatchedExamples:
        """As `Examples.to`."""
        return replace(self, split=self.split.to(device))

    def batches(self, order: Tensor | None, batch_size: int, augment: int | None = None) -> Iterator[Batch]:
        """As `Examples.batches`."""
        batches = self.split.batches(order, batch_size, augment)
        while True:
            with self.watch(self.inside):
                batch = next(batches, None)
            if batch is None:
                return
            if self.between is None:
                yield batch
            else:
                with self.watch(self.between):
                    yield batch


class WatchedContext(CohortContext):
    """A cohort's context that times scoring, batches and evaluation."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.watch = Stopwatch()
        self._watched: Dataset | None = None

    def dataset(self, config: DatasetConfig) -> Dataset:
        """As `CohortContext.dataset`; one data set a context."""
        if self._watched is None:
            whole = super().dataset(config)
            train = WatchedExamples(split=whole.train, watch=self.watch, inside="batches")
            test = WatchedExamples(split=whole.test, watch=self.watch, inside="evaluation", between="evaluation")
            self._watched = replace(whole, train=train, test=test)
        return self._watched

    def score(self, config: TrialConfig, model: nn.Module, masks: Masks, round_number: int) -> Scores:
        """As `CohortContext.score`."""
        with self.watch("scoring"):
            return super().score(config, model, masks, round_number)

    def prune_at_once(self, config: TrialConfig, model: nn.Module, density: Decimal) -> Pruned | None:
        """As `CohortContext.prune_at_once`."""
        with self.watch("scoring"):
            return super().prune_at_once(config, model, density)
