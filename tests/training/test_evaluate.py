"""Metrics against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from training.datasets.contract import Split
from training.evaluate import Metrics, evaluate, label_ranks


class Lookup(nn.Module):
    """Logits are the image itself."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def oracle(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    losses, top1, top5 = [], 0, 0
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        losses.append(np.log(np.exp(row - row.max()).sum()) + row.max() - row[label])
        ranking = sorted(range(len(row)), key=lambda k: (-row[k], k))
        top1 += ranking[0] == label
        top5 += label in ranking[:5]
    return float(np.mean(losses)), top1 / len(labels), top5 / len(labels)


@given(
    num_images=st.sampled_from([1, 2, 511, 512, 513, 1100]),
    num_classes=st.sampled_from([1, 2, 4, 5, 6, 10, 200]),
    num_values=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_metrics_are_numpys_with_ties_going_to_the_lower_class(
    num_images: int, num_classes: int, num_values: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(num_values, size=(num_images, num_classes)).astype(np.float32)
    labels = rng.integers(num_classes, size=num_images)
    split = Split(images=torch.from_numpy(logits)[:, :, None, None], labels=torch.from_numpy(labels))
    measured = evaluate(Lookup(), split)
    loss, accuracy, top5 = oracle(logits, labels)
    assert measured is not None
    assert (measured.accuracy, measured.top5) == (accuracy, top5)
    assert measured.loss == pytest.approx(loss, rel=1e-5, abs=1e-6)
    if num_classes <= 5:
        assert measured.top5 == 1


@given(seed=st.integers(0, 1000), num_classes=st.sampled_from([1, 2, 7, 30]))
def test_ranks_are_those_of_a_stable_sort_also_of_what_is_not_finite(seed: int, num_classes: int) -> None:
    source = torch.Generator().manual_seed(seed)
    values = torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 2.0, torch.inf, torch.nan])
    logits = values[torch.randint(len(values), (20, num_classes), generator=source)]
    labels = torch.randint(num_classes, (20,), generator=source)
    ranked = logits.argsort(dim=1, descending=True, stable=True)
    assert label_ranks(logits, labels).tolist() == (ranked == labels[:, None]).int().argmax(1).tolist()


def test_a_collapsed_network_predicts_class_zero() -> None:
    split = Split(images=torch.zeros(10, 10, 1, 1), labels=torch.arange(10))
    loss: Any = pytest.approx(np.log(10))
    assert evaluate(Lookup(), split) == Metrics(loss=loss, accuracy=0.1, top5=0.5)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_eval_inside_and_restored_after(training: bool) -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)).train(training)
    before = model.get_buffer("1.running_mean").clone()
    split = Split(images=torch.randn(8, 4, 1, 1) + 5, labels=torch.zeros(8, dtype=torch.long))
    evaluate(model, split)
    assert model.training == model[1].training == training
    assert torch.equal(model.get_buffer("1.running_mean"), before)


def test_an_empty_split_has_no_metrics() -> None:
    assert evaluate(Lookup(), Split(images=torch.zeros(0, 3, 1, 1), labels=torch.zeros(0, dtype=torch.long))) is None
