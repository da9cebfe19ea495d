"""How many seconds of a slot a trial takes: a first guess from sizes, corrected by what was measured.

The guess counts multiplications (`training.workload`). What it cannot know (how fast the machine is, what a criterion
costs, how much smaller a network gets by pruning) is a factor, measured / guessed. It is kept for every node of a tree
that gets finer from level to level: all trials, then by network, by recipe, by pruner, by density. A node's factor is
the ratio of sums of its own trials, drawn towards its parent's with the weight of one trial: so a density that was
never seen is predicted from its pruner's others, a new pruner from its network's. Seeds do not matter.

Only scheduling reads this. What a trial gives never depends on what it was thought to cost.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.rows import PART_COLUMNS, Row
from orchestrator.trials import Trials
from pruning.table import reads_prune_set
from training.config import TrialConfig

LEVELS: tuple[tuple[str, ...], ...] = (
    ("dataset", "dataset_options", "model", "model_options"),
    ("epochs", "batch_size", "precision", "augment", "pre_epochs", "levels", "rewind", "fine_tune_epochs"),
    ("pruner", "pruner_options", "iterations", "mode", "score_dtype", "prunable", "examples_per_class"),
    ("density_literal",),
)
"""Columns that each level of the tree adds to those above it."""
COLUMNS = tuple(column for level in LEVELS for column in level)
PARTS = ("dataset", "model", "training", "levels", "pruner", "density")
"""Parts of a configuration that cost anything: all but seeds."""
PHASES = ("load_seconds", "build_seconds", "prune_seconds", "train_seconds")

TRIAL_SECONDS = 0.02
"""Guess of what a trial takes besides arithmetic."""
FLOW_EXAMPLES = 2
"""What a round costs that looks at no example: one pass both ways, and as much again over the weights."""
SHORTEST_SECONDS = 1e-6
"""So that ratios exist."""
FLOPS = {"cpu": 3e10, "cuda": 5e12}
"""Guess of floating-point operations a second that training reaches on one slot."""
UNSEEN_SPREAD = 1.0
"""Standard deviation of the logarithm of measured / predicted where nothing like it was measured."""
INTERVAL = 1.645
"""Standard deviations either side of an estimate: 90 %."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the guess is made of, of one data set and model (`training.workload`)."""

    num_train: int = 50_000
    num_test: int = 10_000
    num_classes: int = 10
    macs: int = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of slots, with an interval of 90 %."""

    seconds: float
    low: float
    high: float


@dataclass
class _Node:
    """Trials that were measured, and the sums that their factor is made of."""

    count: int = 0
    measured: float = 0.0
    guessed: float = 0.0
    log_errors: float = 0.0
    """Sum of squared logarithms of measured / predicted, each predicted before it was measured; of trials from a store,
    of measured / mean of the equal ones."""

    def factor(self, parent: float | None) -> float:
        """Measured / guessed, drawn towards the parent's by one trial, in logarithms: either may be far off."""
        own = self.measured / self.guessed
        return own if parent is None else math.exp((self.count * math.log(own) + math.log(parent)) / (self.count + 1))

    @property
    def spread(self) -> float:
        """Standard deviation of log(measured / predicted) of one trial, drawn towards `UNSEEN_SPREAD`."""
        return math.sqrt((self.log_errors + UNSEEN_SPREAD**2) / (self.count + 1))


class CostModel:
    """Predicts seconds of trials on one kind of device and learns from each that is measured."""

    def __init__(self, *, device: str = "cpu", sizes: Mapping[tuple[str, str, str, str], Sizes] | None = None) -> None:
        """`sizes` by data set, its options, model and its options; what is not there is guessed as something usual."""
        self.device = device
        self._sizes = sizes or {}
        self._nodes: dict[Hashable, _Node] = {}
        self.num_observed = 0
        self.num_calibrated = 0
        """Networks of which a training step was timed."""

    @classmethod
    def from_store(cls, store: Store, *, device: str, sizes: Mapping[Any, Sizes] | None = None) -> CostModel:
        """A model that knows a store's completed trials of one device; "auto" is the one that the last run used."""
        measured = pl.sum_horizontal(pl.col(PHASES).fill_null(0.0))
        rows = scan_trials(store).filter(pl.col("status") == "completed")
        kinds = rows.group_by("device").agg(pl.col("run_id").max()).sort("run_id", "device").collect()
        if device == "auto":
            device = str(kinds["device"][-1]) if kinds.height and kinds["device"][-1] else "cpu"
        model = cls(device=device, sizes=sizes)
        of_device = rows.filter(pl.col("device") == device)
        groups = of_device.group_by(COLUMNS).agg(
            count=measured.count(), mean=measured.mean(), variance=measured.var().fill_null(0.0)
        )
        for row in groups.sort(COLUMNS).collect().iter_rows(named=True):
            mean = max(row["mean"], SHORTEST_SECONDS)
            model._observe(row, mean, row["count"], row["count"] * row["variance"] / mean**2)
        return model

    def observe(self, config: TrialConfig, seconds: float) -> None:
        """A trial took so long."""
        row = _columns(config)
        seconds = max(seconds, SHORTEST_SECONDS)
        # the first says how fast the machine is, nothing of how well it was predicted
        squared_error = math.log(seconds / self._predict(row)) ** 2 if self.num_observed else 0.0
        self._observe(row, seconds, 1, squared_error)

    def calibrate(self, config: TrialConfig, seconds_a_step: float) -> None:
        """A training step of the trial's network, unpruned, takes so long.

        That says how fast the machine is with this network, and as much as one trial does; nothing of its pruner.
        """
        row = _columns(config)
        sizes = self._sizes_of(row)
        measured = 6 * sizes.macs * config.training.batch_size / max(seconds_a_step, SHORTEST_SECONDS)
        guessed = self._guess(row)
        for path in _paths(row)[:2]:
            node = self._nodes.setdefault(path, _Node())
            node.count += 1
            node.measured += guessed * self._flops / measured
            node.guessed += guessed
        self.num_calibrated += 1

    def knows(self, config: TrialConfig) -> bool:
        """Whether a trial of the same network was measured."""
        return _paths(_columns(config))[1] in self._nodes

    def predict(self, config: TrialConfig) -> float:
        """Seconds that a trial is expected to take."""
        return self._predict(_columns(config))

    def predict_all(self, trials: Trials) -> NDArray[np.float64]:
        """Seconds of each trial, in order. Trials that differ in seeds alone are predicted once."""
        cells, places = self._cells(trials)
        return np.array([self._predict(row) for row in cells], float)[places]

    def estimate(self, trials: Trials) -> Estimate:
        """Seconds of all trials together.

        What is uncertain about a pruner's trials is common to them (its factor) or their own (which averages out);
        different pruners' factors are taken to err independently.
        """
        cells, places = self._cells(trials)
        return self.estimate_cells(cells, np.bincount(places, minlength=len(cells)).tolist())

    def estimate_cells(self, cells: Sequence[Row], counts: Sequence[int]) -> Estimate:
        """The same for so many trials of each kind; `cells` have `COLUMNS`."""
        by_pruner: dict[Hashable, float] = {}
        variance = total = 0.0
        for row, count in zip(cells, counts, strict=True):
            seconds = self._predict(row)
            total += seconds * count
            node = _paths(row)[3]
            by_pruner[node] = by_pruner.get(node, 0.0) + seconds * count
            variance += count * (seconds * self._spread(node)) ** 2
        for path, seconds in by_pruner.items():
            seen = self._nodes.get(path, _Node())
            variance += (seconds * self._spread(path)) ** 2 / max(1, seen.count)
        factor = math.exp(min(INTERVAL * math.sqrt(variance) / total, 5.0)) if total else 1.0
        return Estimate(seconds=total, low=total / factor, high=total * factor)

    def longest(self, trials: Trials) -> Estimate | None:
        """Seconds of the longest of some trials; None where one of them is of a kind that was never measured.

        Nineteen in twenty trials take less than `high`.
        """
        found = Estimate(seconds=0.0, low=0.0, high=0.0)
        for row in self._cells(trials)[0]:
            kind = _paths(row)[-1]
            if kind not in self._nodes:
                return None
            seconds, factor = self._predict(row), math.exp(INTERVAL * self._spread(kind))
            found = Estimate(
                seconds=max(found.seconds, seconds),
                low=max(found.low, seconds / factor),
                high=max(found.high, seconds * factor),
            )
        return found

    def _cells(self, trials: Trials) -> tuple[list[Row], NDArray[np.int64]]:
        """Columns of the trials that differ in what costs anything, and the place of each trial's among them."""
        unique = trials.frame.select(PARTS).unique(maintain_order=True).with_row_index("place")
        places = trials.frame.select(PARTS).join(unique, on=PARTS, how="left", maintain_order="left")["place"]
        known: dict[tuple[str, int], Row] = {}
        cells = []
        for numbers in unique.select(PARTS).iter_rows(named=True):
            row: Row = {}
            for name, number in numbers.items():
                if (name, number) not in known:
                    known[name, number] = PART_COLUMNS[name](trials.parts.of[name][number])
                row |= known[name, number]
            cells.append(row)
        return cells, places.to_numpy().astype(np.int64)

    def _observe(self, row: Mapping[str, Any], mean: float, count: int, squared_errors: float) -> None:
        """`count` trials took `mean` seconds each; `squared_errors` is the sum over them (`_Node.log_errors`)."""
        guessed = self._guess(row)
        for path in _paths(row):
            node = self._nodes.setdefault(path, _Node())
            node.count += count
            node.measured += mean * count
            node.guessed += guessed * count
            node.log_errors += squared_errors
        self.num_observed += count

    def _predict(self, row: Mapping[str, Any]) -> float:
        factor = None  # of the machine, the guess says nothing that would outweigh a single trial
        for path in _paths(row):
            node = self._nodes.get(path)
            if node is None:
                break
            factor = node.factor(factor)
        return max((1.0 if factor is None else factor) * self._guess(row), SHORTEST_SECONDS)

    def _spread(self, path: Hashable) -> float:
        node = self._nodes.get(path)
        return node.spread if node else UNSEEN_SPREAD

    def _guess(self, row: Mapping[str, Any]) -> float:
        sizes = self._sizes_of(row)
        between = row["pre_epochs"] if row["rewind"] != "none" else row["fine_tune_epochs"]
        epochs = row["epochs"] + (row["pre_epochs"] + (row["levels"] - 1) * between if row["pre_epochs"] else 0)
        trained = (6 * sizes.num_train + 2 * sizes.num_test) * epochs
        examples = row["examples_per_class"] * sizes.num_classes if reads_prune_set(row["pruner"]) else FLOW_EXAMPLES
        scored = 6 * row["iterations"] * row["levels"] * examples
        return TRIAL_SECONDS + sizes.macs * (trained + scored) / self._flops

    @property
    def _flops(self) -> float:
        return FLOPS.get(self.device, FLOPS["cpu"])

    def _sizes_of(self, row: Mapping[str, Any]) -> Sizes:
        key = (row["dataset"], row["dataset_options"], row["model"], row["model_options"])
        return self._sizes.get(key, Sizes())


def _columns(config: TrialConfig) -> Row:
    row: Row = {}
    for name in PARTS:
        row |= PART_COLUMNS[name](getattr(config, name))
    return row


def _paths(row: Mapping[str, Any]) -> list[Hashable]:
    """The nodes that a trial belongs to, from all trials down."""
    paths: list[tuple[Any, ...]] = [()]
    for level in LEVELS:
        paths.append((*paths[-1], *(row[column] for column in level)))
    return list(paths)
