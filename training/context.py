"""What the trials of a cohort share: device, data set, first-round scores, what is known of the network's structure.

Sharing has this one home. Everything in it is a pure function of configurations, so a trial gives the same bits
with a context of its own as in the middle of a cohort.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import torch
from torch import nn

from pruning.conservation import Flow, unit_flows
from pruning.criteria.contract import PruneSet, prunes_at_once
from pruning.masks import Masks, Scores
from pruning.prunable import choose_prunable
from pruning.prune import Pruned
from pruning.schedules import densities_by_round
from pruning.scopes import NAMED_SCOPES
from pruning.scoring import prune_at_once, score_network
from pruning.table import reads_prune_set
from pruning.unit_groups import UnitGroups, unit_groups
from training.build import build_criterion, build_model, load_dataset
from training.checkpoint import Shelf
from training.config import CHECKPOINT_SECONDS, LOOKS_AHEAD, DatasetConfig, PrunerConfig, TrialConfig
from training.datasets.contract import Dataset
from training.datasets.holdout import hold_out
from training.device import ExecutionClass, prepare_device
from training.fusion.grouping import Paces
from training.gpu_turns import GpuTurns
from training.known_prunings import KnownPrunings
from training.levels import round_schedule
from training.macs import weight_positions
from training.seeds import generator
from training.small_dense import small_dense
from training.snapshots import Snapshots, Wish


class CohortContext:
    """What the trials of one worker process share, also from cohort to cohort.

    It holds the last data set, network and first-round scores only; the fused engine's, scores of several networks.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        engine: str = "compact",
        save_masks: bool = False,
        save_unit_scores: bool = False,
        data_root: str | None = None,
        shelf: Shelf | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        wish: Callable[[], Wish] = lambda: Wish.NONE,
    ) -> None:
        """`engine` is what trains where it can (`training.engines`).

        With a `shelf`, trials write a checkpoint every so many seconds and go on from it; a `wish` of somebody who
        waits for the process is granted with one more.
        """
        self.save_masks, self.save_unit_scores = save_masks, save_unit_scores
        self._data_root = data_root
        self.device, self.execution = prepare_device(device, engine)
        self.gpu_turns = GpuTurns.of(self.device)
        self.known_prunings = KnownPrunings()
        self.snapshots = Snapshots(shelf, self.execution, every_seconds=checkpoint_seconds, wish=wish)
        self.looks_ahead = LOOKS_AHEAD if engine == "fused" else 1
        """Trials that are begun together, for some of them to be trained side by side."""
        self.paces = Paces()
        self.num_trained_ahead = 0
        """Of those, the ones that are trained and whose records are still to come."""
        self._dataset: tuple[DatasetConfig, Dataset] | None = None
        self._first_scores: dict[tuple[object, ...], Scores] = {}
        """By what they depend on, the latest last: as many as there are trials begun together."""
        self._groups: tuple[tuple[object, ...], UnitGroups | None] | None = None
        self._positions: tuple[tuple[object, ...], dict[str, int]] | None = None

    def free_memory(self) -> None:
        """Let go of everything that trials share; what is needed again is computed again, to the same bits."""
        self.known_prunings = KnownPrunings()
        self.snapshots.free_memory()
        self._dataset = self._groups = self._positions = None
        self._first_scores.clear()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def settle(self) -> None:
        """Undo what an earlier trial's code may have done to the process: the class says how many threads compute."""
        torch.set_num_threads(self.execution.threads)

    def dataset(self, config: DatasetConfig) -> Dataset:
        """The data set on this context's device, loaded once for consecutive trials that share it."""
        if self._dataset is None or self._dataset[0] != config:
            self._dataset = None  # the old one may be as large
            loaded = load_dataset(config, self._data_root).to(self.device)
            self._dataset = (config, hold_out(loaded, config.validation))
        return self._dataset[1]

    def score(self, config: TrialConfig, model: nn.Module, masks: Masks, round_number: int) -> Scores:
        """Scores of `model` under `masks` in one round.

        The first round sees the whole network, so its scores do not depend on the density: they are computed once for
        all consecutive trials that differ in density, schedule, scope or training only.
        """
        pruner = config.pruner
        key = (config.dataset, config.model, config.seeds, _scoring_part(pruner))
        is_shared = round_number == 1 and config.levels.pre_epochs == 0
        if is_shared and key in self._first_scores:
            return self._first_scores[key]
        scores = score_network(
            model,
            masks,
            build_criterion(pruner),
            self._prune_set(config),
            generator(config.seeds.prune, f"score/{round_number}", self.device),
            mode=pruner.mode,
            dtype=getattr(torch, pruner.score_dtype),
        )
        if is_shared:
            self._first_scores[key] = scores
            if len(self._first_scores) > self.looks_ahead:
                del self._first_scores[next(iter(self._first_scores))]
        return scores

    def prune_at_once(self, config: TrialConfig, model: nn.Module, density: Decimal) -> Pruned | None:
        """All rounds in one go where the criterion knows a faster way; None where rounds are to be scored one by one.

        A single round is one of those: its scores are shared between trials.
        """
        pruner = config.pruner
        criterion = build_criterion(pruner)
        if (
            pruner.iterations == 1
            or pruner.mode != "eval"
            or pruner.prunable != "weights"
            or pruner.scope not in NAMED_SCOPES
        ):
            return None
        if not prunes_at_once(criterion):
            return None
        densities = densities_by_round(round_schedule(config), density, pruner.iterations)
        dtype = getattr(torch, pruner.score_dtype)
        return prune_at_once(model, criterion, self._prune_set(config), densities, pruner.scope, dtype=dtype)

    def execution_of(self, config: TrialConfig) -> ExecutionClass:
        """The class that a trial's results belong to here: its precision is part of it."""
        return replace(self.execution, dtype=config.training.precision)

    def unit_flows(self, config: TrialConfig, model: nn.Module, scores: Scores) -> dict[str, Flow]:
        """`pruning.conservation.unit_flows` by weight; empty without scores and for networks not understood.

        The groups of units are a function of the network alone: they are looked for once.
        """
        key = (config.dataset, config.model, config.seeds.init)
        if scores and (self._groups is None or self._groups[0] != key):
            self._groups = (key, self._unit_groups(config, model))
        groups = self._groups[1] if scores and self._groups else None
        return {} if groups is None else unit_flows(scores, groups)

    def _unit_groups(self, config: TrialConfig, model: nn.Module) -> UnitGroups | None:
        try:
            return unit_groups(model, self.dataset(config.dataset).input_shape)
        except Exception:  # a user's network may do anything when probed; a diagnostic must not cost it the trial
            return None

    def weight_positions(self, config: TrialConfig, model: nn.Module) -> dict[str, int]:
        """`training.macs.weight_positions`, by weight; empty for a network that cannot be run to count them.

        They are a function of the shapes alone: counted once for all trials of a network.
        """
        width = config.density if config.pruner.builds_smaller else None
        key = (config.dataset, config.model, width)
        if self._positions is None or self._positions[0] != key:
            self._positions = (key, self._counted_positions(config, model))
        return self._positions[1]

    def _counted_positions(self, config: TrialConfig, model: nn.Module) -> dict[str, int]:
        try:
            return weight_positions(model, self.dataset(config.dataset).input_shape)
        except Exception:  # as above: a user's network, and a number beside the result
            return {}

    def _prune_set(self, config: TrialConfig) -> PruneSet:
        """Every pruner of one seed sees these same examples. Raises ValueError where there are not as many.

        One that looks at none is given a single blank image, for its shape.
        """
        dataset = self.dataset(config.dataset)
        if not reads_prune_set(config.pruner.name):
            inputs = torch.zeros(1, *dataset.input_shape, device=self.device)
            return PruneSet(inputs=inputs, targets=torch.zeros(1, dtype=torch.int64, device=self.device))
        num_examples = config.pruner.examples_per_class * dataset.num_classes
        if num_examples > len(dataset.train):
            raise ValueError(
                f"examples_per_class {config.pruner.examples_per_class} x {dataset.num_classes} classes make "
                f"{num_examples} images, more than the {len(dataset.train)} trained on: set examples_per_class lower"
            )
        order = torch.randperm(len(dataset.train), generator=generator(config.seeds.prune, "prune set"))
        chosen = order[:num_examples]
        inputs, targets = next(dataset.train.batches(chosen, len(chosen)))
        if config.pruner.mode == "train":  # BatchNorm sees a batch: its size is part of the result
            return PruneSet(inputs=inputs, targets=targets)
        return PruneSet(inputs=inputs, targets=targets, batch_size=scored_at_once(dataset.input_shape))


def scored_at_once(input_shape: tuple[int, int, int]) -> int:
    """Examples of a prune set that a network is given at a time: 256, or as many as have the pixels of 256 of 64x64."""
    return min(256, max(1, 256 * 3 * 64 * 64 // math.prod(input_shape)))


def _scoring_part(pruner: PrunerConfig) -> tuple[object, ...]:
    """What of a pruner's configuration its first-round scores depend on."""
    return (
        pruner.name,
        pruner.options,
        pruner.source_hash,
        pruner.mode,
        pruner.score_dtype,
        pruner.examples_per_class,
        pruner.prunable,
    )


def build_network(config: TrialConfig, context: CohortContext, purpose: str = "init") -> nn.Module:
    """The network that a trial trains, on the context's device, its weights drawn for one purpose."""
    dataset = context.dataset(config.dataset)
    chosen = config.model
    if config.pruner.builds_smaller:
        chosen = small_dense(chosen, config.density, dataset.input_shape, dataset.num_classes).model
    model = build_model(
        chosen,
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        init_seed=config.seeds.init,
        purpose=purpose,
    )
    choose_prunable(model, config.pruner.prunable)
    return model.to(context.device)
