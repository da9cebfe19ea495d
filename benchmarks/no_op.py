"""Trials that do nothing, or sleep: what is left of a run's seconds is scheduling and storing.

They take the place of `training.trial.run_cohort` in the workers (`orchestrator.cohort.RunSettings.runner`); everything
before and after it is what every run does: plan file, Ray Tune, actors, markers, rows, segments, commits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from training.config import TrialConfig
from training.context import CohortContext
from training.record import EpochRecord, LayerRecord, TrialRecord

Check = Callable[[TrialConfig], None]


def run_nothing(configs: Iterable[TrialConfig], context: CohortContext, check: Check) -> Iterator[TrialRecord]:
    """A record a trial, with as many rows as a small trial has: one epoch, three layers."""
    for config in configs:
        check(config)
        yield _record(config, context)


def sleep_a_second(configs: Iterable[TrialConfig], context: CohortContext, check: Check) -> Iterator[TrialRecord]:
    """The same, a second a trial."""
    for record in run_nothing(configs, context, check):
        time.sleep(1.0)
        yield record


def _record(config: TrialConfig, context: CohortContext) -> TrialRecord:
    return TrialRecord(
        config=config,
        execution=context.execution_of(config),
        layers=[
            LayerRecord(
                layer=f"layer{position}",
                position=position,
                num_weights=1000,
                kept=100,
                live=100,
                score_sum=1.0,
                initial_score_sum=1.0,
                unit_conservation_error=None,
            )
            for position in range(3)
        ],
        epochs=[
            EpochRecord(
                level=1,
                epoch=1,
                lr=0.1,
                train_loss=1.0,
                validation_loss=None,
                validation_accuracy=None,
                validation_top5=None,
                test_loss=1.0,
                test_accuracy=0.5,
                test_top5=0.9,
            )
        ],
        is_connected=True,
        seconds={"train": 0.0},
    )
