"""One trial on its way from the first step to the last: training, prunings and rewinds in turn.

`training/trial.py` says what happens when. Here the network, its masks and what was measured so far are carried along,
put aside (a checkpoint every so many seconds, and the end of every stretch that other trials may share) and taken up
again by whoever runs the trial next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial

from torch import Tensor, nn

from pruning.dynamic.contract import is_dynamic
from pruning.masks import Masks, all_kept
from pruning.prunable import prunable_weights
from pruning.prune import Pruned, Round
from training.build import build_criterion
from training.config import LevelsConfig, PrunerConfig, TrialConfig
from training.context import CohortContext, build_network
from training.datasets.contract import Dataset
from training.engines import brings_weights_back, trainee
from training.levels import Stretch, round_schedule, stretches
from training.loop import Training, steps_per_epoch
from training.masking import removed_weights, zero_removed
from training.moving_masks import MovingMasks
from training.pruned import Pruning
from training.pruning_step import described, prune_model
from training.record import EpochRecord, LayerRecord, PhaseTimer
from training.snapshots import Snapshot
from training.state import State, load_network_state, network_state

IGNORED_DURING_TRAINING = {
    *("iterations", "schedule", "scope", "ablation", "prunable"),
    *("pre_epochs", "levels", "rewind", "rewind_step", "fine_tune_epochs"),
}
"""Settings of pruners with a score. A sweep file that gives them to one of our dynamic pruners is refused when it is
read; a user's own is known to be one only here."""


class Journey:
    """A trial under way: `ahead` yields what is left of its training; after all but the last stretch it is pruned."""

    def __init__(
        self, config: TrialConfig, context: CohortContext, dataset: Dataset, model: nn.Module, timer: PhaseTimer
    ) -> None:
        self._config, self._context, self._dataset, self._timer = config, context, dataset, timer
        self._steps_per_epoch = steps_per_epoch(dataset, config.training)
        self._course = stretches(config, self._steps_per_epoch)
        self._number = 0
        self._training: Training | None = None
        self._start: State | int = 0
        """Where the current stretch starts: a state of the full network, or a step of the recipe for it as it is."""
        self._midway: State | None = None
        """Where the current stretch was left, if it was."""
        self._is_at_end = False
        """Whether another trial has trained the current stretch."""
        self._is_under_way = False
        """Whether the current stretch has begun."""
        self._rewind: State | None = None
        self._moving = _moving_masks(config, self._course[-1].stop_step)
        self.model = model
        self.masks: Masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
        self.epochs: list[EpochRecord] = []
        self.rounds: list[Round] = []
        self.layers: list[LayerRecord] = []
        self.is_connected: bool | None = None
        self.engine, self.fallback = "reference", ""
        self.fused_with: int | None = None
        self._restore: Callable[[nn.Module], None] | None = None
        self._context.snapshots.start_clock()
        self._take_up()

    def ahead(self) -> Iterator[Stretch]:
        """The stretches to go, the current one first."""
        while self._number < len(self._course):
            yield self._course[self._number]
            self._number += 1

    def train(self, stretch: Stretch) -> None:
        """Train to the end of `stretch`, from its start or from where it was left."""
        training = self._training if self._is_under_way else self.begin(stretch)
        if training is None:
            return
        for record in training.run(stretch.stop_step, self._after_step):
            self.epochs.append(record)
            if self.is_save_due():
                self.save()
        self._finish(stretch, training)

    def begin(self, stretch: Stretch) -> Training | None:
        """The training of `stretch`, at its start or where it was left; None where there is nothing to train.

        `train` goes on from wherever it stands when that is called.
        """
        if stretch.density is not None and stretch.stop_step == 0:
            return None  # pruned as initialised
        if self._config.training.epochs == 0:
            self.engine = self._context.execution.engine
            zero_removed(removed_weights(self.model, self.masks))
            return None  # pruned and nothing more
        goes_on_from = None if isinstance(self._start, int) else self._start
        if goes_on_from is not None:
            load_network_state(self.model, goes_on_from[0])
        if self._is_at_end:
            self._is_at_end = False
            return None
        chosen = trainee(
            self.model,
            self.masks,
            self._dataset.input_shape,
            self._config,
            self._context.execution.engine,
            goes_on_from,
        )
        self.engine, self.fallback = chosen.engine, chosen.fallback
        self._restore = chosen.restore_into
        self._training = training = Training(
            chosen,
            self._dataset,
            self._config.training,
            self._config.seeds.data,
            level=stretch.level,
            moving=self._moving if stretch.level else None,
        )
        if self._midway is not None:
            training.load(self._midway)
            self._midway = None
        elif isinstance(self._start, int):
            training.turn_clock(self._start)
        else:
            training.load_full(self._start)
        self._remember_rewind_point()
        self._is_under_way = True
        if chosen.engine == "fused":
            self.trains_beside(1)
        return training

    def has_reached_end_of(self, stretch: Stretch) -> bool:
        """Whether `stretch` was begun and no step of it is left."""
        return self._is_under_way and self._training is not None and self._training.step == stretch.stop_step

    def _finish(self, stretch: Stretch, training: Training) -> None:
        """What is known once `stretch` is trained."""
        self._is_under_way = False
        if self._moving is not None and stretch.level:
            self.masks = self._moving.masks
            self.rounds = self._moving.rounds
            left = described(
                Pruned(masks=self.masks, scores={}, rounds=self.rounds), self.model, self._config, self._context
            )
            self.layers, self.is_connected = left.layers, left.is_connected
        if self._config.levels.pre_epochs:
            self._start = training.full_state()
            self._context.snapshots.share(
                history(self._config, self._course, self._number),
                self._config,
                self._snapshot(self._start, is_at_end=True),
                keep=stretch.level == 0,
            )

    def full_network(self) -> nn.Module:
        """The full model as masked dense training leaves it, removed weights exactly zero; once nothing is ahead."""
        if self._restore is not None:
            self._restore(self.model)
        return self.model

    def prune(self, stretch: Stretch) -> None:
        """Prune to the density at the end of `stretch`; set network and clock to where the next stretch starts."""
        assert stretch.density is not None, "the last stretch ends with the trial"
        is_last = self._number == len(self._course) - 2
        if self._moving is not None:
            self._moving.start(self.model)
            self.masks = self._moving.masks
        else:
            pruning = self._context.known_prunings.recall(self._config, partial(self._pruning, stretch.density))
            self.masks, self.layers, self.is_connected = pruning.masks, pruning.layers, pruning.is_connected
            self.rounds += [replace(one, round=len(self.rounds) + one.round) for one in pruning.rounds]
        rewind = self._config.levels.rewind
        if is_last and self._config.pruner.ablation == "reinitialise":
            self.model = build_network(self._config, self._context, purpose="reinitialise")
            self._start = 0
        elif rewind == "weights":
            assert self._rewind is not None, "the rewind point lies before the first pruning"
            self._start = self._rewind
        elif rewind == "lr":
            self._start = _starting_anew(network_state(self.model), self._course[self._number + 1].start_step)
        elif self._config.levels.pre_epochs == 0:
            self._start = self._course[self._number + 1].start_step

    def _pruning(self, density: Decimal) -> Pruning:
        """Prune the network as it stands. Every level is described: another trial may end with it."""
        earlier = self._course[self._number - 1].density if self._number else None
        before = None if earlier is None else (self.masks, earlier)
        pruned = prune_model(self.model, self._config, self._context, density=density, before=before)
        return described(pruned, self.model, self._config, self._context)

    def _after_step(self) -> None:
        assert self._training is not None
        self._remember_rewind_point()
        # an epoch's last step is followed by its record: then is the time
        if self._training.step % self._steps_per_epoch and self.is_save_due():
            self.save()

    def _remember_rewind_point(self) -> None:
        levels, training = self._config.levels, self._training
        if training is None or levels.rewind != "weights" or self._number or self._rewind is not None:
            return
        if training.step != levels.rewind_step:
            return
        tensors, facts = training.full_state()
        self._rewind = (tensors, {**facts, "loss_sum": 0.0, "num_seen": 0})

    def trains_beside(self, num_networks: int) -> None:
        """So many networks train side by side from here on, this one among them; the most there were is recorded."""
        self.fused_with = max(num_networks, self.fused_with or 1)

    def charge(self, seconds: float) -> None:
        """Somebody else trained for this trial so long."""
        self._timer.add({"train": seconds})

    def is_save_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._context.snapshots.is_due()

    def save(self) -> None:
        """Write a checkpoint. Raises Interrupted where that is all that was waited for."""
        assert self._training is not None
        self._context.snapshots.save(self._config, self._snapshot(self._training.state()))

    def _snapshot(self, state: State, *, is_at_end: bool = False) -> Snapshot:
        is_rebuilt = (
            not is_at_end and self._restore is not None
        )  # a small network, made of what the stretch started from
        return Snapshot(
            stretch=self._number,
            masks=self._moving.masks if self._moving else self.masks,
            training=state,
            is_at_end=is_at_end,
            engine=self.engine,
            fallback=self.fallback,
            fused_with=self.fused_with,
            start=self._start if is_rebuilt and not isinstance(self._start, int) else None,
            rewind=self._rewind,
            epochs=list(self.epochs),
            rounds=list(self._moving.rounds if self._moving else self.rounds),
            layers=list(self.layers),
            is_connected=self.is_connected,
            seconds=self._timer.so_far(),
        )

    def _take_up(self) -> None:
        """Go on from this trial's last checkpoint, or from the longest stretch that another trial has shared."""
        snapshots, device = self._context.snapshots, self._context.device
        found = snapshots.find(self._config, device)
        if found is not None:
            self._timer.add(found.seconds)
        elif self._config.levels.pre_epochs:
            prefixes = (
                snapshots.shared(history(self._config, self._course, number), device)
                for number in reversed(range(len(self._course)))
            )
            found = next((one for one in prefixes if one is not None), None)
        if found is None:
            return
        self._number, self._rewind = found.stretch, found.rewind
        self._is_at_end = found.is_at_end
        if found.is_at_end:
            self._start = found.training
        else:
            self._start = 0 if found.start is None else found.start
            self._midway = found.training
        self.engine, self.fallback, self.fused_with = found.engine, found.fallback, found.fused_with
        self.masks, self.epochs, self.rounds = dict(found.masks), list(found.epochs), list(found.rounds)
        self.layers, self.is_connected = list(found.layers), found.is_connected
        if self._moving is not None:
            self._moving.rounds, self._moving.masks = list(found.rounds), self.masks
        if self._number == len(self._course) - 1 and self._config.pruner.ablation == "reinitialise":
            self.model = build_network(self._config, self._context, purpose="reinitialise")


def history(config: TrialConfig, course: list[Stretch], number: int) -> str:
    """Everything that determines a trial at the end of stretch `number`: equal texts, equal bits."""
    levels, pruner = config.levels, config.pruner
    point = f"rewind point {levels.rewind_step if levels.rewind == 'weights' else None}"
    engine = "masked dense" if brings_weights_back(config) else ""
    seeds = f"{config.seeds.init} {config.seeds.data}"
    fragments = (part.fragment for part in (config.dataset, config.model, config.training))
    parts = [*fragments, seeds, pruner.prunable, point, engine]
    for stretch in course[:number]:
        parts.append(f"train {stretch.start_step} to {stretch.stop_step}")
        is_last = stretch.density == config.density
        ablation = pruner.ablation if is_last or pruner.ablation == "invert" else "none"
        applied = replace(pruner, schedule=round_schedule(config), ablation=ablation)
        parts.append(f"prune to {stretch.density} {applied.fragment} {config.seeds.prune} {levels.rewind}")
    parts.append(f"train {course[number].start_step} to {course[number].stop_step}")
    return "\n".join(parts)


def _starting_anew(network: Mapping[str, Tensor], step: int) -> State:
    """A state with a fresh optimizer at a step of the recipe."""
    return network, {"step": step, "loss_sum": 0.0, "num_seen": 0}


def _moving_masks(config: TrialConfig, num_steps: int) -> MovingMasks | None:
    """The dynamic pruner at work, where the trial has one. Raises ValueError for settings that it cannot heed."""
    if config.pruner.is_dense:
        return None
    criterion = build_criterion(config.pruner)
    if not is_dynamic(criterion):
        return None
    if config.training.epochs == 0:
        raise ValueError(f"pruner {config.pruner.name} removes weights while the network trains, and epochs is 0")
    plain = PrunerConfig(name=config.pruner.name)
    for part, default in ((config.pruner, plain), (config.levels, LevelsConfig())):
        for setting in IGNORED_DURING_TRAINING & vars(default).keys():
            if getattr(part, setting) != getattr(default, setting):
                raise ValueError(
                    f"pruner {config.pruner.name} changes its masks while the network trains and has no {setting}: "
                    "remove the key"
                )
    return MovingMasks(criterion, density=config.density, num_steps=num_steps, seed=config.seeds.prune)
