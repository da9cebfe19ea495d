"""What the trials of a cohort share: device, data set, first-round scores.

Sharing has this one home. Everything in it is a pure function of configurations, so a trial gives the same bits
with a context of its own as in the middle of a cohort.
"""

from __future__ import annotations

import torch
from torch import nn

from pruning.criteria.contract import PruneSet, prunes_at_once
from pruning.masks import Masks, Scores
from pruning.prune import Pruned
from pruning.schedules import densities_by_round
from pruning.scopes import NAMED_SCOPES
from pruning.scoring import prune_at_once, score_network
from training.build import build_criterion, load_dataset
from training.config import DatasetConfig, PrunerConfig, TrialConfig
from training.datasets.contract import Dataset
from training.device import prepare_device
from training.seeds import generator

PRUNE_EXAMPLES_PER_CLASS = 10
"""Prune set of the paper: 10 x classes training examples, drawn without regard to class."""


class CohortContext:
    """Shared state of one worker process; holds the last data set and the last first-round scores only."""

    def __init__(self, device: str = "auto", *, save_masks: bool = False) -> None:
        self.save_masks = save_masks
        self.device, self.execution = prepare_device(device)
        self._dataset: tuple[DatasetConfig, Dataset] | None = None
        self._first_scores: tuple[tuple[object, ...], Scores] | None = None

    def settle(self) -> None:
        """Undo what an earlier trial's code may have done to the process: the class says how many threads compute."""
        torch.set_num_threads(self.execution.threads)

    def dataset(self, config: DatasetConfig) -> Dataset:
        """The data set on this context's device, loaded once for consecutive trials that share it."""
        if self._dataset is None or self._dataset[0] != config:
            self._dataset = (config, load_dataset(config).to(self.device))
        return self._dataset[1]

    def score(self, config: TrialConfig, model: nn.Module, masks: Masks, round_number: int) -> Scores:
        """Scores of `model` under `masks` in one round.

        The first round sees the whole network, so its scores do not depend on the density: they are computed once for
        all consecutive trials that differ in density, schedule, scope or training only.
        """
        pruner = config.pruner
        key = (config.dataset, config.model, config.seeds, _scoring_part(pruner))
        if round_number == 1 and self._first_scores is not None and self._first_scores[0] == key:
            return self._first_scores[1]
        scores = score_network(
            model,
            masks,
            build_criterion(pruner),
            self._prune_set(config),
            generator(config.seeds.prune, f"score/{round_number}", self.device),
            mode=pruner.mode,
            dtype=getattr(torch, pruner.score_dtype),
        )
        if round_number == 1:
            self._first_scores = (key, scores)
        return scores

    def prune_at_once(self, config: TrialConfig, model: nn.Module) -> Pruned | None:
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
        densities = densities_by_round(pruner.schedule, config.density, pruner.iterations)
        dtype = getattr(torch, pruner.score_dtype)
        return prune_at_once(model, criterion, self._prune_set(config), densities, pruner.scope, dtype=dtype)

    def _prune_set(self, config: TrialConfig) -> PruneSet:
        """Every pruner of one seed sees these same examples."""
        dataset = self.dataset(config.dataset)
        order = torch.randperm(len(dataset.train), generator=generator(config.seeds.prune, "prune set"))
        chosen = order[: PRUNE_EXAMPLES_PER_CLASS * dataset.num_classes].to(self.device)
        return PruneSet(inputs=dataset.train.images[chosen], targets=dataset.train.labels[chosen])


def _scoring_part(pruner: PrunerConfig) -> tuple[str, ...]:
    """What of a pruner's configuration its first-round scores depend on."""
    return (pruner.name, pruner.options, pruner.source_hash, pruner.mode, pruner.score_dtype, pruner.prunable)
