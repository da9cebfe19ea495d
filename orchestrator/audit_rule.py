"""Whether a stored trial is what the reference path gives: one rule, stated and applied here.

Masks must keep equally many weights in every layer, on the same data, and a trial's row must say what its epochs say.
Losses and accuracies of two engines agree to rounding only, and training in float32 is chaotic: rounding grows. So an
epoch's losses may differ by 0.01 % and its accuracies by one image (top-5 by two). Where they differ more, the
reference is run twice again with its learning rate changed by a thousandth, up and down, which nobody would call
another experiment. In each epoch the stored trial may be as far from the reference as `CHAOS` times the farther of
the two has been until the epoch after: the first epochs, before chaos, are the sharpest test of what was trained.

Where training comes before pruning, or masks move during it, the layers' counts follow the training, and only their
sum must be equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.store.rows import Row
from pruning.table import DYNAMIC_PRUNERS
from training.config import TrialConfig

LOSS_TOLERANCE = 1e-4
"""Relative difference of a loss that needs no explanation."""
NUDGES = (1e-3, -1e-3)
"""Relative changes of the learning rate that show how sensitive a trial is. With 1e-5, 4 of 40 honest trials failed."""
CHAOS = 10.0
"""How many times farther than the farther nudged run a stored trial may be: two runs show how far rounding can carry a
trial only to an order of magnitude. With 3, 2 of 60 honest trials failed, with 10 one: four live weights were left."""
CHAOS_AT_FIRST = 3.0
"""The same in the first epoch, which rounding has hardly reached."""
LEAD = 1
"""Epochs by which a stored trial may diverge earlier than the nudged ones."""

LOSSES = ("train_loss", "validation_loss", "test_loss")
ACCURACIES = ("validation_accuracy", "validation_top5", "test_accuracy", "test_top5")
FINAL = {
    "final_train_loss": "train_loss",
    "final_test_loss": "test_loss",
    "final_test_accuracy": "test_accuracy",
    "final_test_top5": "test_top5",
    "final_validation_accuracy": "validation_accuracy",
}
"""Columns of `trials` and the columns of a trial's last epoch that they repeat."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What running one trial again showed."""

    trial_id: str
    engine: str
    """That the stored trial was trained with."""
    differences: dict[str, float] = field(default_factory=dict)
    """Largest over epochs, by column; of losses relative, of accuracies absolute."""
    allowed: dict[str, float] = field(default_factory=dict)
    """In the last epoch, by the rule."""
    nudged: bool = False
    """Whether the reference had to be run with its learning rate changed."""
    problems: list[str] = field(default_factory=list)
    """What is beyond the rule; empty: the trial is confirmed."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One trial as the store has it."""

    trial: Row
    epochs: list[Row]
    layers: list[Row]


def compare(
    identity: str,
    config: TrialConfig,
    stored: Stored,
    reference: Stored,
    num_images: Mapping[str, int],
    run: Callable[[TrialConfig], Stored],
) -> Finding:
    """Judge a stored trial by the reference's.

    `num_images` is the size of the "test" and the "validation" split; `run` gives the reference's rows under another
    configuration.
    """
    problems = [
        *_different_data(stored, reference),
        *_contradictions(stored),
        *_different_epochs(stored, reference),
        *_different_layers(config, stored, reference),
    ]
    apart = _apart_by_epoch(stored.epochs, reference.epochs)
    tolerances = _tolerances(num_images)
    allowed = [tolerances for _ in apart]
    nudged = config.training.epochs > 0 and any(_beyond(apart, allowed))
    if nudged:
        trainings = (replace(config.training, lr=config.training.lr * (1 + nudge)) for nudge in NUDGES)
        runs = [_apart_by_epoch(run(replace(config, training=one)).epochs, reference.epochs) for one in trainings]
        allowed = [_carried(runs, number, tolerances) for number in range(1, len(apart) + 1)]
    problems += _beyond(apart, allowed)
    return Finding(
        trial_id=identity,
        engine=stored.trial["engine"],
        differences={column: max(epoch[column] for epoch in apart) for column in (apart[0] if apart else ())},
        allowed={column: allowed[-1][column] for column in (apart[0] if apart else ())},
        nudged=nudged,
        problems=problems,
    )


def _carried(
    runs: Sequence[Sequence[Mapping[str, float]]], number: int, floor: Mapping[str, float]
) -> dict[str, float]:
    """By column, how far a trial may be in epoch `number`: what nudging did up to the next, times `CHAOS`."""
    times = CHAOS if number > 1 else CHAOS_AT_FIRST
    return {
        column: max(least, *(times * epoch.get(column, 0.0) for run in runs for epoch in run[: number + LEAD]))
        for column, least in floor.items()
    }


def _beyond(apart: Sequence[Mapping[str, float]], allowed: Sequence[Mapping[str, float]]) -> list[str]:
    """By column, the first epoch that differs by more than is allowed there."""
    found: dict[str, str] = {}
    for number, (differences, limits) in enumerate(zip(apart, allowed, strict=True), start=1):
        for column, value in differences.items():
            if value > limits[column]:
                line = f"{column} is {value:.3g} apart in epoch {number}, the rule allows {limits[column]:.3g}"
                found.setdefault(column, line)
    return list(found.values())


def _different_data(stored: Stored, reference: Stored) -> Iterator[str]:
    then, now = stored.trial["data_hash"], reference.trial.get("data_hash")
    if then and now and then != now:
        yield f"data_hash {then} is stored, the data set here has {now}"


def _contradictions(stored: Stored) -> Iterator[str]:
    """Where the row of a trial and its other tables disagree: neither was written by a run then."""
    last = stored.epochs[-1] if stored.epochs else {}
    for column, epoch_column in FINAL.items():
        then, said = stored.trial[column], last.get(epoch_column)
        if _apart(then, said) != 0.0:
            yield f"{column} {then} is stored, but its last epoch says {said}"
    kept = sum(layer["kept"] for layer in stored.layers)
    if stored.trial["kept_weights"] != kept:
        yield f"kept_weights {stored.trial['kept_weights']} is stored, but its layers keep {kept}"


def _different_epochs(stored: Stored, reference: Stored) -> Iterator[str]:
    then, now = ([(row["level"], row["epoch"], row["lr"]) for row in one.epochs] for one in (stored, reference))
    if len(then) != len(now):
        yield f"{len(then)} epochs are stored, {len(now)} were trained now"
    elif then != now:
        yield "levels, epochs or learning rates of its epochs are not those of its configuration"


def _different_layers(config: TrialConfig, stored: Stored, reference: Stored) -> Iterator[str]:
    then = {row["layer"]: row["kept"] for row in stored.layers}
    now = {row["layer"]: row["kept"] for row in reference.layers}
    if config.levels.pre_epochs or config.pruner.name in DYNAMIC_PRUNERS:
        then, now = {"all layers": sum(then.values())}, {"all layers": sum(now.values())}
    for layer in {**now, **then}:
        if then.get(layer) != now.get(layer):
            yield f"{layer} keeps {then.get(layer)} weights in the store, {now.get(layer)} on the reference path"


def _tolerances(num_images: Mapping[str, int]) -> dict[str, float]:
    """One image, whatever the division rounds to; of five guesses, two."""
    image = {split: 1 / max(1, count) for split, count in num_images.items()}
    return (
        dict.fromkeys(LOSSES, LOSS_TOLERANCE)
        | {f"{split}_accuracy": 1.5 * one for split, one in image.items()}
        | {f"{split}_top5": 2.5 * one for split, one in image.items()}
    )


def _apart_by_epoch(these: Sequence[Row], those: Sequence[Row]) -> list[dict[str, float]]:
    """Differences of the epochs that both have, by column that either measured; those of losses are relative."""
    found = []
    for mine, other in zip(these, those, strict=False):
        apart = {}
        for column in (*LOSSES, *ACCURACIES):
            if mine[column] is None and other[column] is None:
                continue
            apart[column] = _apart(mine[column], other[column])
            if column in LOSSES and math.isfinite(apart[column]):
                apart[column] /= max(abs(other[column]), 1e-12)
        found.append(apart)
    return found


def _apart(one: float | None, other: float | None) -> float:
    """|one - other|; 0 where both are the same special value or missing, infinity where one alone is."""
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    return abs(one - other) if math.isfinite(one) and math.isfinite(other) else math.inf
