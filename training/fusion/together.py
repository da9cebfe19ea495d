"""Training of several small networks in step: each sees its own batches, all take their steps at once.

    together = Together(trainings)              # at one step of one recipe, of one signature
    for records in together.run(stop_step): ... # an epoch of each
    together.hand_back()                        # each training stands where it would by itself, to rounding

The sum of the losses is what gradients are taken of: no network's loss depends on another's weights, so each gets the
gradient of its own; all of them, as long as every network's numbers are finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from training.config import TrainingConfig
from training.datasets.contract import Batch, Examples
from training.evaluate import EVALUATION_BATCH, Metrics, label_ranks
from training.fusion.reading import Reading
from training.fusion.side_by_side import SideBySide, hand_back, optimizer_together, removed_together
from training.loop import Training
from training.masking import Removed, zero_removed
from training.optimizer import set_rate
from training.record import EpochRecord


class Together:
    """Networks in training side by side."""

    def __init__(self, trainings: Sequence[Training], readings: Sequence[Reading]) -> None:
        """`trainings` stand at one step of one recipe, on one data set; `readings` are of their networks."""
        self._trainings = trainings
        self._first = first = trainings[0]
        self._seeds = list(dict.fromkeys(training.order_seed for training in trainings))
        self._trainees = [training.trainee for training in trainings]
        channels = first.dataset.input_shape[0]
        self.shares_images = len(self._seeds) == 1
        self.model = SideBySide(readings, channels, shares_images=self.shares_images)
        self._optimizer = optimizer_together(self.model, self._trainees, first.config)
        self._removed = removed_together(self.model, self._trainees)
        zero_removed(self._removed)
        device = first.dataset.train.labels.device
        self._loss_sums = torch.tensor([one.seen[0] for one in trainings], dtype=torch.float64, device=device)
        self._num_seen, self._num_forwards = first.seen[1], 0
        self.step = first.step

    def run(self, stop_step: int, after_step: Callable[[], None] = lambda: None) -> Iterator[list[EpochRecord]]:
        """Train until `stop_step`; the records of all for each epoch that ends, as `Training.run` has them."""
        per_epoch = self._first.steps_per_epoch
        while self.step < stop_step:
            epoch = self.step // per_epoch + 1
            self.model.train()
            for batches in self._batches(min(stop_step, epoch * per_epoch)):
                self._advance(batches)
                after_step()
            if self.step % per_epoch == 0:
                losses = (self._loss_sums / self._num_seen).tolist()
                self._loss_sums.zero_()
                self._num_seen = 0
                yield self._measured(epoch, losses)

    def take_step(self, batches: Sequence[Batch], rate: float) -> None:
        """One step of every network; there is one batch for all, or one for each, of equally many images."""
        images, labels = _joined(batches, self.model.num_networks)
        losses = training_losses(self.model, images, labels, self._first.config)
        self._optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        self._loss_sums.add_(losses.detach(), alpha=len(images))
        self._num_seen += len(images)
        self._num_forwards += 1
        if max_norm := self._first.config.clip_grad_norm:
            clip_gradients_apart(self.model, self._removed, max_norm)
        set_rate(self._optimizer, rate)
        self._optimizer.step()
        zero_removed(self._removed)

    def hand_back(self) -> None:
        """Put every training to where it would be by itself. As often as one likes: training may go on in between."""
        hand_back(self.model, self._optimizer, self._trainees)
        for training, loss_sum in zip(self._trainings, self._loss_sums.tolist(), strict=True):
            training.model.get_buffer("num_forwards").add_(self._num_forwards)
            training.trained_elsewhere(self.step, loss_sum, self._num_seen)
        self._num_forwards = 0

    def _batches(self, stop_step: int) -> Iterator[list[Batch]]:
        """Each network's next batch, step by step; one for all where all have one order."""
        by_seed = {training.order_seed: training.batches(stop_step) for training in self._trainings}
        wanted = self._seeds if self.shares_images else [training.order_seed for training in self._trainings]
        for batches in zip(*by_seed.values(), strict=True):
            found = dict(zip(by_seed, batches, strict=True))
            yield [found[seed] for seed in wanted]

    def _advance(self, batches: Sequence[Batch]) -> None:
        self.take_step(batches, self._first.next_rate())
        self.step += 1
        for training in self._trainings:
            training.step = self.step

    def _measured(self, epoch: int, losses: list[float]) -> list[EpochRecord]:
        dataset = self._first.dataset
        validation, test = (evaluate_together(self.model, split) for split in (dataset.validation, dataset.test))
        lr = self._optimizer.param_groups[0]["lr"]
        return [
            EpochRecord.of(
                level=training.level,
                epoch=epoch,
                lr=lr,
                train_loss=loss,
                validation=validation[number] if validation else None,
                test=test[number] if test else None,
            )
            for number, (training, loss) in enumerate(zip(self._trainings, losses, strict=True))
        ]


def training_losses(model: SideBySide, images: Tensor, labels: Tensor, config: TrainingConfig) -> Tensor:
    """Each network's mean loss of its batch, (K,); labels are (n, K). As `training.engines.training_loss` is of one."""
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
        losses = each_loss(model(images), labels, label_smoothing=config.label_smoothing)
    return losses.mean(0)


def each_loss(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """The loss of every image in every network, (n, K), of logits (n, K, classes) and labels (n, K).

    As one long batch: with more dimensions, a GPU has no deterministic kernel for it.
    """
    flat = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=label_smoothing, reduction="none")
    return flat.view(labels.shape)


@torch.no_grad()
def clip_gradients_apart(model: SideBySide, removed: Removed, max_norm: float) -> None:
    """As `training.masking.clip_gradients`, each network's gradients by its own norm."""
    for weight, gone in removed:
        if weight.grad is not None:
            weight.grad.masked_fill_(gone, 0.0)
    blocks = [
        parameter.grad.unflatten(0, (model.num_networks, -1))
        for parameter in model.parameters()
        if parameter.grad is not None
    ]
    norms = torch.stack([torch.linalg.vector_norm(block, dim=tuple(range(1, block.dim()))) for block in blocks])
    shrunk = (max_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    for block in blocks:
        block.mul_(shrunk.view(-1, *[1] * (block.dim() - 1)))


@torch.no_grad()
def evaluate_together(model: SideBySide, split: Examples) -> list[Metrics] | None:
    """As `training.evaluate.evaluate`, of every network. None for an empty split."""
    if not len(split):
        return None
    was_training = model.training
    model.eval()
    count = torch.zeros(model.num_networks, dtype=torch.int64, device=split.labels.device)
    loss_sum, num_top1, num_top5 = count.double(), count.clone(), count.clone()
    for images, labels in split.batches(None, EVALUATION_BATCH):
        logits = model(images)
        repeated = labels[:, None].expand(-1, model.num_networks)
        loss_sum += each_loss(logits, repeated).double().sum(0)
        ranks = label_ranks(logits.flatten(0, 1), repeated.flatten()).view(-1, model.num_networks)
        num_top1 += (ranks == 0).sum(0)
        num_top5 += (ranks < 5).sum(0)
    model.train(was_training)
    total = len(split)
    return [
        Metrics(loss=loss / total, accuracy=top1 / total, top5=top5 / total)
        for loss, top1, top5 in zip(loss_sum.tolist(), num_top1.tolist(), num_top5.tolist(), strict=True)
    ]


def _joined(batches: Sequence[Batch], num_networks: int) -> Batch:
    """Images with a block of channels for each batch, and labels (n, K)."""
    if len(batches) == 1:
        ((images, labels),) = batches
        return images, labels[:, None].expand(-1, num_networks)
    return torch.cat([images for images, _ in batches], 1), torch.stack([labels for _, labels in batches], 1)
