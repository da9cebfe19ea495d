"""The training loop: epochs of a recipe over whatever an engine gives it to train.

With the reference engine, dense tensors masked once after every step, it is the oracle for every faster one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pruning.masks import Masks
from training.config import PRECISIONS, TrainingConfig
from training.datasets.contract import Batch, Dataset
from training.datasets.labels_only import without_images
from training.engines import Trainee, masked_dense
from training.evaluate import evaluate
from training.masking import clip_gradients, removed_weights, zero_removed
from training.moving_masks import MovingMasks
from training.optimizer import learning_rate, set_rate
from training.record import EpochRecord
from training.seeds import derive_seed, generator, global_seed
from training.state import (
    State,
    load_network_state,
    load_noise_state,
    load_optimizer_state,
    network_state,
    noise_state,
    optimizer_state,
)


class Training:
    """A network in training. It can stop after any step, be put aside, and be taken up again.

    The clock counts the steps of the recipe. The order of examples in an epoch depends on (order_seed, epoch) alone,
    and so do dropout and augmentation: all pruners of a seed see the same batches, and a clock that is turned back sees
    them again.
    """

    def __init__(
        self,
        trainee: Trainee,
        dataset: Dataset,
        config: TrainingConfig,
        order_seed: int,
        *,
        level: int = 1,
        moving: MovingMasks | None = None,
    ) -> None:
        """`level` prunings lie behind; `moving` are masks that change while the network, a full one, trains.

        Raises ValueError for an option that is unknown or that the data set cannot serve.
        """
        if config.precision not in PRECISIONS:
            raise ValueError(f"precision {config.precision!r}: expected one of {', '.join(PRECISIONS)}")
        self.trainee, self.config = trainee, config
        self.model = trainee.model
        self.step = 0
        """Steps of the recipe that lie behind."""
        self.steps_per_epoch = steps_per_epoch(dataset, config)
        self.dataset = dataset if trainee.tail is None else without_images(dataset)
        self.order_seed, self.level = order_seed, level
        self._moving = moving
        self._device = dataset.train.labels.device
        self._removed, self._optimizer = trainee.removed, trainee.optimizer
        zero_removed(self._removed)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self._num_seen = 0
        self._noise: State | None = None

    def run(self, stop_step: int, after_step: Callable[[], None] = lambda: None) -> Iterator[EpochRecord]:
        """Train until `stop_step`; one record for each epoch that ends on the way, by its number in the recipe.

        A record's training loss is the mean over the images seen since the clock was last set, before each step; its
        learning rate is that of the last step. Training that diverges goes on, and its records hold the losses that are
        not finite. `after_step` is called after every step, when `state()` may be asked for.
        """
        while self.step < stop_step:
            epoch = self.step // self.steps_per_epoch + 1
            with global_seed(self.order_seed, f"noise/{epoch}", self._device):
                lr = self._train_epoch(min(stop_step, epoch * self.steps_per_epoch), after_step)
            if self.step % self.steps_per_epoch == 0:
                loss = float(self._loss_sum) / self._num_seen
                self._start_epoch()
                yield measured(self.model, self.dataset, level=self.level, epoch=epoch, lr=lr, train_loss=loss)

    def state(self) -> State:
        """Everything that the next step depends on, besides what this object was made from."""
        tensors = network_state(self.model) | optimizer_state(self._optimizer)
        facts: dict[str, Any] = {
            "step": self.step,
            "loss_sum": float(self._loss_sum),
            "num_seen": self._num_seen,
        }
        if self.step % self.steps_per_epoch:  # between epochs the generators are about to be seeded
            noise, noise_facts = noise_state(self._device)
            tensors |= noise
            facts["noise"] = noise_facts
        return tensors, facts

    def load(self, state: State) -> None:
        """Go on from `state`, which `state()` gave for the same network, masks aside. Removed weights become zero."""
        tensors, facts = state
        load_network_state(self.model, tensors)
        load_optimizer_state(self._optimizer, tensors)
        zero_removed(self._removed)
        self.turn_clock(facts["step"])
        self._loss_sum.fill_(facts["loss_sum"])
        self._num_seen = facts["num_seen"]
        self._noise = state if "noise" in facts else None

    def full_state(self) -> State:
        """`state()` of the full network, which is put there too: what networks with other masks can go on from."""
        return self.trainee.full_state(self.state())

    def load_full(self, state: State) -> None:
        """Go on from `state`, which `full_state()` gave for a network with these masks or fewer removed."""
        self.load(self.trainee.own_state(state))

    def turn_clock(self, step: int) -> None:
        """Go on from `step` of the recipe with the network as it is."""
        self.step = step
        self._start_epoch()
        self._noise = None

    def _start_epoch(self) -> None:
        self._loss_sum.zero_()
        self._num_seen = 0

    def batches(self, stop_step: int) -> Iterator[Batch]:
        """What the steps from here to `stop_step` see, which is not beyond the epoch."""
        epoch, train, config = self.step // self.steps_per_epoch + 1, self.dataset.train, self.config
        order = torch.randperm(len(train), generator=generator(self.order_seed, f"order/{epoch}"))
        augment = derive_seed(self.order_seed, f"augment/{epoch}") if config.augment else None
        first = (epoch - 1) * self.steps_per_epoch
        to_come = order[(self.step - first) * config.batch_size : (stop_step - first) * config.batch_size]
        return train.batches(to_come, config.batch_size, augment)

    def next_rate(self) -> float:
        """Learning rate of the next step; beyond the recipe's end it stays where it was."""
        config = self.config
        return learning_rate(config, min(self.step + 1, config.epochs * self.steps_per_epoch), self.steps_per_epoch)

    @property
    def seen(self) -> tuple[float, int]:
        """Of the epoch under way, the sum of the images' losses, and their number."""
        return float(self._loss_sum), self._num_seen

    def trained_elsewhere(self, step: int, loss_sum: float, num_seen: int) -> None:
        """Somebody else took this network's steps up to `step`, beside others (`training.fusion`)."""
        self.turn_clock(step)
        self._loss_sum.fill_(loss_sum)
        self._num_seen = num_seen

    def _train_epoch(self, stop_step: int, after_step: Callable[[], None]) -> float:
        """The rest of an epoch, as far as `stop_step`. Returns the last step's learning rate."""
        if self._noise is not None:
            tensors, facts = self._noise
            load_noise_state(self._device, tensors, facts["noise"])
            self._noise = None
        self.model.train()
        lr = self.config.lr
        for images, labels in self.batches(stop_step):
            lr = self.next_rate()
            set_rate(self._optimizer, lr)
            self._take_step(images, labels)
            self.step += 1
            after_step()
        return lr

    def _take_step(self, images: Tensor, labels: Tensor) -> None:
        config = self.config
        loss = self.trainee.backward(images, labels, config)
        self._loss_sum.add_(loss, alpha=len(images))
        self._num_seen += len(images)
        moving = self._moving if self._moving and self._moving.is_due(self.step + 1) else None
        if moving is None or not moving.replaces_step:
            if config.clip_grad_norm:
                clip_gradients(self.model, self._removed, config.clip_grad_norm)
            self._optimizer.step()
            zero_removed(self._removed)
        if moving is not None:
            moving.move(self.model, self._optimizer, self.step + 1)
            self._removed = removed_weights(self.model, moving.masks)
            zero_removed(self._removed)


def train(
    model: nn.Module, masks: Masks, dataset: Dataset, config: TrainingConfig, order_seed: int
) -> Iterator[EpochRecord]:
    """Train `model` in place under `masks` by the whole recipe, with the reference engine.

    One record an epoch.
    """
    training = Training(masked_dense(model, masks, config), dataset, config, order_seed)
    yield from training.run(config.epochs * training.steps_per_epoch)


def steps_per_epoch(dataset: Dataset, config: TrainingConfig) -> int:
    """Steps that see every training image once. Raises ValueError where epochs are asked for and there is no image."""
    if config.epochs and not len(dataset.train):
        raise ValueError("this data set has no images to train on: write epochs: 0 to prune and nothing more")
    return math.ceil(len(dataset.train) / config.batch_size)


def measured(
    model: nn.Module, dataset: Dataset, *, level: int, epoch: int, lr: float, train_loss: float
) -> EpochRecord:
    """The record of an epoch that has just ended."""
    return EpochRecord.of(
        level=level,
        epoch=epoch,
        lr=lr,
        train_loss=train_loss,
        validation=evaluate(model, dataset.validation),
        test=evaluate(model, dataset.test),
    )
