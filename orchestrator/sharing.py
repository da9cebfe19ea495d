"""Which trials share training: those that are pruned after it. Nothing here imports torch unless epochs are counted.

They share the dense training (one data set, model, recipe and seed) and, where one schedule of densities leads through
several targets, the levels on the way, as in iterative magnitude pruning. What a process has trained it finds again, so
trials that share levels belong in one cohort: together they are a single course of training. Those that share the dense
training alone need not wait for each other: two cohorts that want it at the same time both train it, and a later one
finds it on the shelf.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.trials import PlannedTrial, Trials
from training.config import TrialConfig
from training.levels import level_densities, stretches


def in_sharing_order(trials: Trials) -> Trials:
    """The trials with those that share training side by side, each group where its first trial was."""
    for key in (levels_key, _dense_key):  # the coarser last: sorting is stable
        numbers = _key_numbers(trials, key)
        if len(trials) and numbers.max() + 1 < len(trials):  # some share
            trials = trials.take(np.argsort(numbers, kind="stable"))
    return trials


def sharing_starts(trials: Trials) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For trials in sharing order, where a group that shares dense training begins, and where one that shares levels.

    A trial pruned at initialisation is a group of its own.
    """
    dense, levels = (_key_numbers(trials, key) for key in (_dense_key, levels_key))
    return _starts(dense), _starts(dense) | _starts(levels)


@dataclass(frozen=True, kw_only=True)
class SharedTraining:
    """Epochs of the trials that are pruned after training."""

    trials: int
    epochs: int
    """To train where nothing is trained twice."""
    epochs_alone: int
    """The sum over trials, as if each were run alone."""


def shared_training(trials: Iterable[PlannedTrial]) -> SharedTraining:
    """What sharing saves. A rewind to a step within training counts as one to its start."""
    from training.journey import history  # torch: two seconds that only sweeps with such trials wait

    num_trials = epochs_alone = 0
    lengths: dict[int, int] = {}
    for trial in trials:
        config = trial.config
        if not config.levels.pre_epochs:
            continue
        num_trials += 1
        course = stretches(replace(config, levels=replace(config.levels, rewind_step=0)), 1)
        for number, stretch in enumerate(course):
            length = stretch.stop_step - stretch.start_step
            epochs_alone += length
            lengths[hash(history(config, course, number))] = length
    return SharedTraining(trials=num_trials, epochs=sum(lengths.values()), epochs_alone=epochs_alone)


def _key_numbers(trials: Trials, key: Callable[[TrialConfig], Hashable]) -> NDArray[np.int64]:
    """Equal numbers for trials with equal keys, rising in the order in which they first come.

    Only trials with training before the first pruning have keys; each of the others is alone with its own.
    """
    levels = trials.parts.of["levels"]
    trains_first = np.array([bool(one.pre_epochs) for one in levels], bool)[trials.frame["levels"].to_numpy()]
    firsts = np.arange(len(trials))
    places: dict[Hashable, int] = {}
    for place in np.flatnonzero(trains_first):
        row = trials.frame.row(int(place), named=True)
        firsts[place] = places.setdefault(key(trials.parts.config(row)), int(place))
    return np.unique(firsts, return_inverse=True)[1]


def _starts(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a run of equal numbers starts."""
    return np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)]


def _dense_key(config: TrialConfig) -> Hashable:
    """Equal for trials that share the training before the first pruning."""
    seeds, levels = config.seeds, config.levels
    point = levels.rewind_step if levels.rewind == "weights" else None
    return (config.dataset, config.model, config.training, seeds.init, seeds.data, levels.pre_epochs, point)


def levels_key(config: TrialConfig) -> Hashable:
    """Equal for trials that share the training after the first pruning, unless it is the last of one of them."""
    return (_dense_key(config), _first_pruning(config))


def _first_pruning(config: TrialConfig) -> Hashable:
    ablation = config.pruner.ablation if config.pruner.ablation == "invert" else "none"
    pruner = replace(config.pruner, ablation=ablation, schedule="exponential")
    levels = replace(config.levels, levels=1)
    return (pruner, config.seeds.prune, levels, level_densities(config)[0])
