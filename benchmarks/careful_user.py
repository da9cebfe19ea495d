"""A trial as a careful user of the SynFlow authors' code runs it: the baseline of whole trials per hour.

One process a core and one thread a process; torchvision's transforms of PIL images (decoded once, before the clock
starts) in the loop; weight times mask in every forward pass; SynFlow's rounds over the whole network in float32;
every trial scores for itself, and trials that must give the same result all run. Same initial weights, prune set,
order of images and recipe as ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn
from torchvision import transforms

from benchmarks.augmentation import pictures, through_pil
from benchmarks.compaction_exactness import MaskedDense
from benchmarks.phases import Stopwatch
from benchmarks.straightforward import prune_round_by_round
from pruning.criteria.contract import PruneSet
from pruning.masks import Masks, all_kept
from pruning.prunable import prunable_weights
from pruning.prune import prune
from pruning.schedules import densities_by_round
from pruning.scoring import score_network
from training.build import build_criterion, build_model
from training.config import DENSE_PRUNER, TrialConfig
from training.datasets.contract import Batch, Dataset, Split
from training.optimizer import build_optimizer
from training.seeds import generator

TEST_BATCH = 512


class CarefulUser:
    """Holds the pictures of a data set and runs trials on them."""

    def __init__(self, dataset: Dataset) -> None:
        assert isinstance(dataset.train, Split)
        assert isinstance(dataset.test, Split)
        self._dataset, self._train, self._test = dataset, dataset.train, dataset.test
        self._train_pictures, self._test_pictures = pictures(dataset.train), pictures(dataset.test)
        normalisation = dataset.train.normalisation
        assert normalisation is not None
        self._plain = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(normalisation.mean, normalisation.std)]
        )

    def run(self, config: TrialConfig, watch: Stopwatch) -> tuple[int, float]:
        """Prune and train one network. Returns kept weights and final test accuracy."""
        model = build_model(
            config.model,
            input_shape=self._dataset.input_shape,
            num_classes=self._dataset.num_classes,
            init_seed=config.seeds.init,
        )
        with watch("scoring"):
            masks = self._masks(config, model)
        network = MaskedDense(model, masks)
        optimizer = build_optimizer(model.parameters(), config.training)
        accuracy = float("nan")
        for epoch in range(1, config.training.epochs + 1):
            model.train()
            for images, labels in self._batches(config, epoch, watch):
                loss = F.cross_entropy(network(images), labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            with watch("evaluation"):
                accuracy = self._evaluate(network)
        return sum(int(mask.sum()) for mask in masks.values()), accuracy

    def _masks(self, config: TrialConfig, model: nn.Module) -> Masks:
        weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
        pruner = config.pruner
        if pruner.name == DENSE_PRUNER or config.density == 1:
            return all_kept(weights)
        order = torch.randperm(len(self._train), generator=generator(config.seeds.prune, "prune set"))
        chosen = order[: pruner.examples_per_class * self._dataset.num_classes]
        images = torch.stack([self._plain(self._train_pictures[index]) for index in chosen.tolist()])
        densities = densities_by_round(pruner.schedule, config.density, pruner.iterations)
        if pruner.name == "synflow":
            return prune_round_by_round(model, images, densities, torch.float32)
        data = PruneSet(inputs=images, targets=self._train.labels[chosen])
        criterion, source = build_criterion(pruner), generator(config.seeds.prune, "score/1")
        dtype = getattr(torch, pruner.score_dtype)
        return prune(
            lambda masks, number: score_network(model, masks, criterion, data, source, mode=pruner.mode, dtype=dtype),
            weights,
            config.density,
        ).masks

    def _batches(self, config: TrialConfig, epoch: int, watch: Stopwatch) -> Iterator[Batch]:
        order = torch.randperm(len(self._train), generator=generator(config.seeds.data, f"order/{epoch}"))
        batches = through_pil(self._train, self._train_pictures, order, config.training.batch_size)
        for labels in self._train.labels[order].split(config.training.batch_size):
            with watch("batches"):
                images = next(batches)
            yield images, labels

    @torch.no_grad()
    def _evaluate(self, network: MaskedDense) -> float:
        network.model.eval()
        num_right = 0
        for start in range(0, len(self._test), TEST_BATCH):
            images = torch.stack([self._plain(one) for one in self._test_pictures[start : start + TEST_BATCH]])
            labels = self._test.labels[start : start + TEST_BATCH]
            num_right += int((network(images).argmax(dim=1) == labels).sum())
        return num_right / len(self._test)
