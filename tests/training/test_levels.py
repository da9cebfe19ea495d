"""The stretches of training between prunings, against tables worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from training.config import (
    DatasetConfig,
    LevelsConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
)
from training.levels import round_schedule, stretches

STEPS_PER_EPOCH = 10


def trial(
    levels: LevelsConfig, *, epochs: int = 8, density: str = "0.01", schedule: str = "exponential"
) -> TrialConfig:
    return TrialConfig(
        dataset=DatasetConfig(name="digits"),
        model=ModelConfig(name="mlp"),
        pruner=PrunerConfig(name="magnitude", schedule=schedule),
        density=Decimal(density),
        seeds=Seeds(init=0, data=0, prune=0),
        training=TrainingConfig(epochs=epochs),
        levels=levels,
    )


def table(config: TrialConfig) -> list[tuple[int, int, int, str | None]]:
    return [
        (one.level, one.start_step, one.stop_step, None if one.density is None else f"{one.density.normalize():f}")
        for one in stretches(config, STEPS_PER_EPOCH)
    ]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        # pruned as initialised
        (LevelsConfig(), [(0, 0, 0, "0.01"), (1, 0, 80, None)]),
        # trained for three epochs, pruned, trained on
        (LevelsConfig(pre_epochs=3), [(0, 0, 30, "0.01"), (1, 30, 80, None)]),
        # magnitude after training: pruned at the end, fine-tuned for two epochs beyond it
        (LevelsConfig(pre_epochs=8, fine_tune_epochs=2), [(0, 0, 80, "0.01"), (1, 80, 100, None)]),
        (
            LevelsConfig(pre_epochs=8, levels=2, fine_tune_epochs=2),
            [(0, 0, 80, "0.1"), (1, 80, 100, "0.01"), (2, 100, 120, None)],
        ),
        # iterative magnitude pruning, rewound to step 15 in the middle of the second epoch
        (
            LevelsConfig(pre_epochs=8, levels=2, rewind="weights", rewind_step=15),
            [(0, 0, 80, "0.1"), (1, 15, 80, "0.01"), (2, 15, 80, None)],
        ),
        # levels shorter than the recipe: the last ticket gets all of it
        (
            LevelsConfig(pre_epochs=5, levels=2, rewind="lr"),
            [(0, 0, 50, "0.1"), (1, 0, 50, "0.01"), (2, 0, 80, None)],
        ),
    ],
)
def test_stretches(levels: LevelsConfig, expected: list[tuple[int, int, int, str | None]]) -> None:
    assert table(trial(levels)) == expected


def test_a_list_of_stops_is_the_levels() -> None:
    levels = LevelsConfig(pre_epochs=8, levels=3, rewind="weights")
    config = trial(levels, schedule="0.8,0.5", density="0.3")
    assert [row[3] for row in table(config)] == ["0.8", "0.5", "0.3", None]
    assert round_schedule(config) == "exponential"


def test_rewinding_beyond_the_training_is_refused() -> None:
    levels = LevelsConfig(pre_epochs=2, rewind="weights", rewind_step=21)
    with pytest.raises(ValueError, match=r"rewind_step 21: training before the first pruning has 20 steps \(2 epochs"):
        stretches(trial(levels), STEPS_PER_EPOCH)
    with pytest.raises(ValueError, match="rewind 'back': expected one of none, weights, lr"):
        stretches(trial(LevelsConfig(pre_epochs=2, rewind="back")), STEPS_PER_EPOCH)
