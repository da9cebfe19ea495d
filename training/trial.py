"""One trial, from configuration to record: the experiment itself, top to bottom.

A trial that raises becomes a failed record in `run_cohort`; `run_trial` lets the error out, for debuggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch
from torch import nn

from pruning.packing import pack
from training.config import TrialConfig
from training.context import CohortContext, build_network
from training.journey import Journey
from training.record import MaskRecord, PhaseTimer, TrialError, TrialRecord


def run_cohort(
    configs: Iterable[TrialConfig], context: CohortContext, check: Callable[[TrialConfig], None] = lambda config: None
) -> Iterator[TrialRecord]:
    """Run trials one after the other, sharing what `context` holds. A trial that raises is a record with its error.

    `check` runs before each trial and may raise to refuse it. A trial that runs out of a GPU's memory is tried once
    more, with nothing kept from others and alone on the GPU; the cohort then goes on as before.
    """
    for config in configs:
        with context.gpu_turns.beside_others():
            record = _attempt(config, context, check)
        if record is None:  # here, where the error's frames no longer hold the network
            context.free_memory()
            with context.gpu_turns.alone():
                record = _attempt(config, context, check, is_last=True)
            assert record is not None
        yield record


def _attempt(
    config: TrialConfig, context: CohortContext, check: Callable[[TrialConfig], None], *, is_last: bool = False
) -> TrialRecord | None:
    """The record of a trial, of its error where it raised; None where memory ran out and it can be tried again."""
    try:
        check(config)
        return run_trial(config, context)
    except (Exception, SystemExit) as error:  # whatever it raises is the trial's result, and the others go on
        if isinstance(error, torch.OutOfMemoryError):
            if not is_last:
                return None
            error.add_note("It was tried twice, then alone on its GPU: lower batch_size, or take a larger GPU.")
        return TrialRecord(config=config, execution=context.execution_of(config), error=TrialError.of(error))


def run_trial(
    config: TrialConfig, context: CohortContext | None = None, keep: Callable[[nn.Module], None] | None = None
) -> TrialRecord:
    """Build, prune and train one network; return what was measured, and hand the trained network to `keep`.

    Pruned at initialisation, the first stretch of training is empty and the second is the whole recipe. A trial that
    was cut off goes on from its last checkpoint.
    """
    context = context or CohortContext()
    context.settle()
    timer = PhaseTimer()
    with timer("load"):
        dataset = context.dataset(config.dataset)
    with timer("build"):
        model = build_network(config, context)
    journey = Journey(config, context, dataset, model, timer)
    for stretch in journey.ahead():
        with timer("train"):
            journey.train(stretch)
        if stretch.density is not None:
            with timer("prune"):
                journey.prune(stretch)
    if keep is not None:
        keep(journey.full_network())
    return TrialRecord(
        config=config,
        execution=replace(context.execution_of(config), engine=journey.engine),
        fallback=journey.fallback,
        data_hash=dataset.content_hash,
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        num_classes=dataset.num_classes,
        layers=journey.layers,
        rounds=journey.rounds,
        masks=[
            MaskRecord(layer=name.removesuffix(".weight"), position=position, shape=list(mask.shape), bits=pack(mask))
            for position, (name, mask) in enumerate(journey.masks.items())
            if context.save_masks and not config.pruner.builds_smaller
        ],
        epochs=journey.epochs,
        is_connected=journey.is_connected,
        seconds=timer.seconds,
    )
