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
from training.config import PrunerConfig, TrialConfig

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


def level_densities(pruner: PrunerConfig, density: Decimal) -> list[Decimal]:
    """Density after each level: the schedule's, where the network is trained in between, else one level."""
    if pruner.pre_epochs == 0:
        return [density]
    return densities_by_round(pruner.schedule, density, pruner.levels)


def stretches(config: TrialConfig, steps_per_epoch: int) -> list[Stretch]:
    """Every stretch of a trial's training, in order: one more than prunings.

    Raises ValueError for settings that contradict each other.
    """
    pruner, epochs = config.pruner, config.training.epochs
    check_levels(pruner, epochs)
    if pruner.pre_epochs and pruner.rewind == "weights" and pruner.rewind_step > pruner.pre_epochs * steps_per_epoch:
        raise ValueError(
            f"rewind_step {pruner.rewind_step}: the first stretch has {pruner.pre_epochs * steps_per_epoch} steps "
            f"({pruner.pre_epochs} epochs of {steps_per_epoch}); rewind to one of them"
        )
    before, end = pruner.pre_epochs * steps_per_epoch, epochs * steps_per_epoch
    found: list[Stretch] = []
    start, stop = 0, before
    for level, density in enumerate(level_densities(pruner, config.density)):
        found.append(Stretch(level=level, start_step=start, stop_step=stop, density=density))
        if pruner.rewind == "none":
            extra = pruner.fine_tune_epochs * steps_per_epoch
            start, stop = stop, stop + extra if extra else max(end, stop)
        else:
            start, stop = pruner.rewind_step, before
    last_stop = end if pruner.rewind != "none" else stop
    found.append(Stretch(level=len(found), start_step=start, stop_step=last_stop, density=None))
    return found


def check_levels(pruner: PrunerConfig, epochs: int) -> None:
    """Raise ValueError where a pruner's settings of training between prunings contradict each other or the recipe."""
    if pruner.rewind not in REWINDS:
        raise ValueError(f"rewind {pruner.rewind!r}: expected one of {', '.join(REWINDS)}")
    if pruner.pre_epochs == 0:
        if pruner.levels != 1 or pruner.rewind != "none" or pruner.rewind_step or pruner.fine_tune_epochs:
            raise ValueError(
                "levels, rewind, rewind_step and fine_tune_epochs say what happens between trainings: "
                "set pre_epochs, the epochs trained before each pruning, or remove them"
            )
        return
    if pruner.pre_epochs > epochs:
        raise ValueError(f"pre_epochs {pruner.pre_epochs}: the recipe ends after {epochs} epochs; train at most those")
    if pruner.rewind == "none":
        if pruner.rewind_step:
            raise ValueError(f"rewind_step {pruner.rewind_step} is not used: set rewind to weights or lr")
        if not pruner.fine_tune_epochs and (pruner.pre_epochs == epochs or pruner.levels > 1):
            raise ValueError(
                f"after {pruner.pre_epochs} of {epochs} epochs and a pruning nothing says how long to train on: set "
                "fine_tune_epochs, or rewind to weights or lr"
            )
    elif pruner.fine_tune_epochs:
        raise ValueError(f"fine_tune_epochs {pruner.fine_tune_epochs} is not used: rewound training ends with the recipe")
