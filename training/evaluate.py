"""Loss and accuracy of a network on a split."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.datasets.contract import Examples
from training.datasets.labels_only import LabelsOnly

EVALUATION_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Means over a split; accuracies in [0, 1]."""

    loss: float
    accuracy: float
    """Top-1."""
    top5: float
    """Share of images whose label is among the five highest logits (all classes, where there are fewer)."""


@torch.no_grad()
def evaluate(model: nn.Module, split: Examples) -> Metrics | None:
    """Metrics of `model` in eval mode; its mode is restored. None for an empty split."""
    if not len(split):
        return None
    was_training = model.training
    model.eval()
    metrics = _of_a_constant(model, split) if isinstance(split, LabelsOnly) else _of_images(model, split)
    model.train(was_training)
    return metrics


def _of_images(model: nn.Module, split: Examples) -> Metrics:
    device = split.labels.device
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    num_top1 = torch.zeros((), dtype=torch.int64, device=device)
    num_top5 = torch.zeros_like(num_top1)
    for images, labels in split.batches(None, EVALUATION_BATCH):
        logits = model(images)
        loss_sum += F.cross_entropy(logits, labels, reduction="sum").double()
        ranks = label_ranks(logits, labels)
        num_top1 += (ranks == 0).sum()
        num_top5 += (ranks < 5).sum()
    total = len(split)
    return Metrics(loss=float(loss_sum) / total, accuracy=int(num_top1) / total, top5=int(num_top5) / total)


def label_ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes are predicted before the label, (n,), given logits (n, classes).

    As in a stable descending sort, but without sorting: where logits tie, the lower class goes first on every machine,
    and NaN goes before all numbers.
    """
    own = logits.gather(1, labels[:, None])
    before, tied = logits > own, logits == own
    nan, own_nan = logits.isnan(), own.isnan()
    before |= nan & ~own_nan
    tied |= nan & own_nan
    is_lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return (before | tied & is_lower).sum(1)


def _of_a_constant(model: nn.Module, split: LabelsOnly) -> Metrics:
    """Every image gets the same logits, so each class's loss and rank count as often as it occurs."""
    logits = model(torch.empty(1, 0, device=split.labels.device))[0]
    total, counts = len(split), split.counts
    loss = -counts.double().dot(torch.log_softmax(logits.double(), 0))
    hits = counts[logits.argsort(descending=True, stable=True)[:5]].tolist()
    return Metrics(loss=float(loss) / total, accuracy=hits[0] / total, top5=sum(hits) / total)
