"""Which trials share training: those that are pruned after it. Nothing here imports torch unless epochs are counted.

They share the dense training (one data set, model, recipe and seed) and, where one schedule of densities leads through
several targets, the levels on the way, as in iterative magnitude pruning. What a process has trained it finds again, so
trials that share levels belong in one cohort: together they are a single course of training. Those that share the dense
training alone need not wait for each other: two cohorts that want it at the same time both train it, and a later one
finds it on the shelf.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from orchestrator.plan import PlannedTrial
from training.config import TrialConfig
from training.levels import level_densities, stretches


def in_sharing_order(trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    """The trials with those that share training side by side, each group where its first trial was."""
    ordered = list(trials)
    if any(trial.config.levels.pre_epochs for trial in trials):
        for key in (levels_key, _dense_key):  # the coarser last: sorting is stable
            ordered = _gathered(ordered, key)
    return ordered


def sharing_groups(trials: Iterable[PlannedTrial]) -> Iterator[list[int]]:
    """For neighbours that share dense training: how many of them share levels, run by run.

    A trial pruned at initialisation is a group of its own. `trials` are in sharing order.
    """
    for _, group in groupby(trials, key=_dense_key):
        yield [sum(1 for _ in run) for _, run in groupby(group, key=levels_key)]


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


def _gathered(trials: list[PlannedTrial], key: Callable[[PlannedTrial], Hashable]) -> list[PlannedTrial]:
    places: dict[Hashable, int] = {}
    return sorted(trials, key=lambda trial: places.setdefault(key(trial), len(places)))


def _dense_key(trial: PlannedTrial) -> Hashable:
    """Equal for trials that share the training before the first pruning."""
    config = trial.config
    if not config.levels.pre_epochs:
        return trial.trial_id
    seeds, levels = config.seeds, config.levels
    point = levels.rewind_step if levels.rewind == "weights" else None
    return (config.dataset, config.model, config.training, seeds.init, seeds.data, levels.pre_epochs, point)


def levels_key(trial: PlannedTrial) -> Hashable:
    """Equal for trials that share the training after the first pruning, unless it is the last of one of them."""
    if not trial.config.levels.pre_epochs:
        return trial.trial_id
    return (_dense_key(trial), _first_pruning(trial.config))


def _first_pruning(config: TrialConfig) -> Hashable:
    ablation = config.pruner.ablation if config.pruner.ablation == "invert" else "none"
    pruner = replace(config.pruner, ablation=ablation, schedule="exponential")
    levels = replace(config.levels, levels=1)
    return (pruner, config.seeds.prune, levels, level_densities(config)[0])
