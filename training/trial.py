"""One trial, from configuration to record: the experiment itself, top to bottom.

A trial that raises becomes a failed record in `run_cohort`; `run_trial` lets the error out, for debuggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice

import torch
from torch import nn

from pruning.packing import pack
from training.config import TrialConfig
from training.context import CohortContext, build_network
from training.fusion.grouping import Candidate
from training.fusion.journeys import train_side_by_side
from training.gpu_memory import count_from_here, taken_since
from training.journey import Journey
from training.levels import Stretch
from training.record import MaskRecord, PhaseTimer, TrialError, TrialRecord
from training.snapshots import Interrupted

Check = Callable[[TrialConfig], None]


def run_cohort(
    configs: Iterable[TrialConfig], context: CohortContext, check: Check = lambda config: None
) -> Iterator[TrialRecord]:
    """Run trials one after the other, sharing what `context` holds. A trial that raises is a record with its error.

    `check` runs before each trial and may raise to refuse it. A trial that runs out of a GPU's memory is tried once
    more, with nothing kept from others and alone on the GPU; the cohort then goes on as before.
    """
    to_come = iter(configs)
    while ahead := list(islice(to_come, context.looks_ahead)):
        with _begun_side_by_side(ahead, context, check) as begun:
            for number, config in enumerate(ahead):
                with context.gpu_turns.beside_others():
                    record = _attempt(config, context, check, begun.pop(number, None))
                if record is None:  # here, where the error's frames no longer hold the network
                    begun.clear()
                    context.free_memory()
                    with context.gpu_turns.alone():
                        record = _attempt(config, context, check, is_last=True)
                    assert record is not None
                context.num_trained_ahead = sum(trial.is_trained for trial in begun.values())
                yield record


@contextmanager
def _begun_side_by_side(
    configs: Sequence[TrialConfig], context: CohortContext, check: Check
) -> Iterator[dict[int, Trial]]:
    """Of these trials, by number, what is begun ahead: nothing but with the fused engine, and where there are several.

    Should the process be asked to leave, what is trained of those still there is kept.
    """
    begun: dict[int, Trial] = {}
    try:
        if len(configs) > 1:
            with context.gpu_turns.beside_others():
                _train_side_by_side(configs, begun, context, check)
        yield begun
    except Interrupted:
        for trial in begun.values():
            trial.put_aside()
        raise


def _train_side_by_side(
    configs: Sequence[TrialConfig], begun: dict[int, Trial], context: CohortContext, check: Check
) -> None:
    """Add to `begun` those that can be trained beside each other: trained, where that is faster.

    One that raises here is begun again by itself, and its error recorded there.
    """
    candidates: list[Candidate] = []
    for number, config in enumerate(configs):
        if config.levels.pre_epochs or not config.training.epochs:
            continue
        try:
            check(config)
            trial = Trial(config, context)
            candidates += trial.begin()
        except torch.OutOfMemoryError:
            begun.clear()
            return
        except (Exception, SystemExit):
            continue
        begun[number] = trial
    spoilt = [candidate.journey for candidate in train_side_by_side(candidates, context.paces)]
    for number in [number for number, trial in begun.items() if trial.journey in spoilt]:
        del begun[number]


def _attempt(
    config: TrialConfig, context: CohortContext, check: Check, begun: Trial | None = None, *, is_last: bool = False
) -> TrialRecord | None:
    """The record of a trial, of its error where it raised; None where memory ran out and it can be tried again."""
    try:
        check(config)
        return (begun or Trial(config, context)).run()
    except (Exception, SystemExit) as error:  # whatever it raises is the trial's result, and the others go on
        if isinstance(error, torch.OutOfMemoryError):
            if not is_last:
                return None
            error.add_note("It was tried twice, then alone on its GPU: lower batch_size, or take a larger GPU.")
        return TrialRecord(config=config, execution=context.execution_of(config), error=TrialError.of(error))


def run_trial(
    config: TrialConfig, context: CohortContext | None = None, keep: Callable[[nn.Module], None] | None = None
) -> TrialRecord:
    """Build, prune and train one network; return what was measured, and hand the trained network to `keep`."""
    trial = Trial(config, context or CohortContext())
    record = trial.run()
    if keep is not None:
        keep(trial.journey.full_network())
    return record


class Trial:
    """A network that is built, pruned and trained."""

    def __init__(self, config: TrialConfig, context: CohortContext) -> None:
        """Load and build. A trial that was cut off goes on from its last checkpoint."""
        context.settle()
        count_from_here(context.device)
        self._config, self._context, self._timer = config, context, PhaseTimer()
        with self._timer("load"):
            self._dataset = context.dataset(config.dataset)
        with self._timer("build"):
            model = build_network(config, context)
        self.journey = Journey(config, context, self._dataset, model, self._timer)
        self._ahead = self.journey.ahead()
        self._current: Stretch | None = None

    def run(self) -> TrialRecord:
        """Train and prune to the end, from wherever the trial stands.

        Pruned at initialisation, the first stretch of training is empty and the second is the whole recipe.
        """
        self._context.settle()
        while stretch := self._current or next(self._ahead, None):
            self._travel(stretch)
        return self._record()

    def begin(self) -> list[Candidate]:
        """Go as far as the last stretch and begin it; where others may train the network, what they need for it."""
        while (stretch := next(self._ahead)).density is not None:
            self._travel(stretch)
        self._current = stretch
        with self._timer("train"):
            training = self.journey.begin(stretch)
        if training is None or training.trainee.reading is None:
            return []
        return [Candidate(self.journey, training, training.trainee.reading, stretch.stop_step)]

    @property
    def is_trained(self) -> bool:
        """Whether it was begun, and trained to the end beside others: its record is all that is left."""
        return self._current is not None and self.journey.has_reached_end_of(self._current)

    def put_aside(self) -> None:
        """Leave a checkpoint of what others trained: the process is about to end."""
        if self.is_trained:
            with suppress(Interrupted):
                self.journey.save()

    def _travel(self, stretch: Stretch) -> None:
        with self._timer("train"):
            self.journey.train(stretch)
        if stretch.density is not None:
            with self._timer("prune"):
                self.journey.prune(stretch)
        self._current = None

    def _record(self) -> TrialRecord:
        config, context, dataset, journey = self._config, self._context, self._dataset, self.journey
        return TrialRecord(
            config=config,
            execution=replace(context.execution_of(config), engine=journey.engine),
            fallback=journey.fallback,
            fused_with=journey.fused_with,
            gpu_memory=taken_since(context.device),
            data_hash=dataset.content_hash,
            num_train=len(dataset.train),
            num_test=len(dataset.test),
            num_classes=dataset.num_classes,
            layers=journey.layers,
            rounds=journey.rounds,
            masks=[
                MaskRecord(
                    layer=name.removesuffix(".weight"), position=position, shape=list(mask.shape), bits=pack(mask)
                )
                for position, (name, mask) in enumerate(journey.masks.items())
                if context.save_masks and not config.pruner.builds_smaller
            ],
            epochs=journey.epochs,
            is_connected=journey.is_connected,
            seconds=self._timer.seconds,
        )
