"""Train, prune, rewind, repeat: the stretches of training between prunings, as a list.

A trial's clock counts epochs of its recipe. Pruning at initialisation prunes first and then lets the clock run from 0
to the end. With `pre_epochs` the network is trained before each of `levels` prunings, and after each of them the clock

- "weights": goes back to `rewind_step`, and so do the weights that are left, BatchNorm's statistics and the optimizer
  (iterative magnitude pruning with rewinding: Frankle et al. 2020, 1912.05671);
- "lr": goes back to `rewind_step`, the weights stay as trained and the optimizer starts anew (learning-rate rewinding:
  Renda et al. 2020, 2003.02389);
- "none": goes on. What the recipe has left is trained, or `fine_tune_epochs` where that is given; beyond the recipe's
  end the learning rate stays where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pruning.schedules import densities_by_round
from training.config import LevelsConfig, TrialConfig

REWINDS = ("none", "weights", "lr")


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Training without a pruning in between, from one step of the clock to another; a stretch may be empty."""

    level: int
    """Prunings that lie behind it."""
    start_step: int
    stop_step: int
    density: Decimal | None
    """What the pruning at its end leaves; None for the last stretch."""


def level_densities(config: TrialConfig) -> list[Decimal]:
    """Density after each level: the schedule's. With one level the schedule is that of its scoring rounds."""
    if config.levels.levels == 1:
        return [config.density]
    return densities_by_round(config.pruner.schedule, config.density, config.levels.levels)


def stretches(config: TrialConfig, steps_per_epoch: int) -> list[Stretch]:
    """Every stretch of a trial's training, in order: one more than prunings.

    Raises ValueError for settings that contradict each other.
    """
    levels, epochs = config.levels, config.training.epochs
    check_levels(levels, epochs)
    before, end = levels.pre_epochs * steps_per_epoch, epochs * steps_per_epoch
    if levels.rewind != "none" and levels.rewind_step > before:
        raise ValueError(
            f"rewind_step {levels.rewind_step}: training before the first pruning has {before} steps "
            f"({levels.pre_epochs} epochs of {steps_per_epoch}); rewind to one of them"
        )
    found: list[Stretch] = []
    start, stop = 0, before
    for level, density in enumerate(level_densities(config)):
        found.append(Stretch(level=level, start_step=start, stop_step=stop, density=density))
        if levels.rewind != "none":
            start, stop = levels.rewind_step, before
        elif levels.fine_tune_epochs:
            start, stop = stop, stop + levels.fine_tune_epochs * steps_per_epoch
        else:
            start, stop = stop, end
    if levels.rewind != "none":
        stop = end
    found.append(Stretch(level=len(found), start_step=start, stop_step=stop, density=None))
    return found


def check_levels(levels: LevelsConfig, epochs: int) -> None:
    """Raise ValueError where settings of training between prunings contradict each other or the recipe."""
    if levels.rewind not in REWINDS:
        raise ValueError(f"rewind {levels.rewind!r}: expected one of {', '.join(REWINDS)}")
    if levels.pre_epochs == 0:
        if levels != LevelsConfig():
            raise ValueError(
                "levels, rewind, rewind_step and fine_tune_epochs say what happens between trainings: "
                "set pre_epochs, the epochs trained before each pruning, or remove them"
            )
        return
    if levels.pre_epochs > epochs:
        raise ValueError(f"pre_epochs {levels.pre_epochs}: the recipe ends after {epochs} epochs; train at most those")
    if levels.rewind == "none":
        if levels.rewind_step:
            raise ValueError(f"rewind_step {levels.rewind_step} is not used: set rewind to weights or lr")
        if not levels.fine_tune_epochs and (levels.pre_epochs == epochs or levels.levels > 1):
            raise ValueError(
                f"pre_epochs {levels.pre_epochs} of {epochs} and {levels.levels} levels do not say how long to train "
                "after a pruning: set fine_tune_epochs, or rewind to weights or lr"
            )
    elif levels.fine_tune_epochs:
        raise ValueError(
            f"fine_tune_epochs {levels.fine_tune_epochs} is not used: rewound training ends where the recipe ends"
        )


def round_schedule(config: TrialConfig) -> str:
    """Schedule of the scoring rounds inside a level; exponential where the pruner's leads from level to level."""
    return config.pruner.schedule if config.levels.levels == 1 else "exponential"
