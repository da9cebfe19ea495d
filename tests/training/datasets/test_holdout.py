"""What is held out is as much as asked for, disjoint from what is trained on, and the same for every trial."""

from __future__ import annotations

import pytest
import torch

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.contract import Dataset, Split
from training.datasets.holdout import held_out_count, hold_out
from training.datasets.table import DATASETS


def numbered(start: int, num: int) -> Split:
    """Images that are their own number, labelled by it."""
    numbers = torch.arange(start, start + num)
    return Split(images=numbers.float().reshape(num, 1, 1, 1), labels=numbers)


def dataset(validation: int = 20) -> Dataset:
    return Dataset(train=numbered(0, 80), validation=numbered(80, validation), test=numbered(500, 7), num_classes=600)


@pytest.mark.parametrize(
    ("own", "asked", "count"),
    [
        *[(0, "0", 0), (0, "30", 30), (0, "79", 79), (0, "0.1", 8)],
        *[(20, "0", 0), (20, "1", 1), (20, "99", 99), (20, "0.1", 10), (20, "0.255", 26)],
    ],
)
def test_training_and_validation_part_all_images_as_asked(own: int, asked: str, count: int) -> None:
    total = 80 + own
    split = hold_out(dataset(own), asked)
    train, validation = split.train.labels.tolist(), split.validation.labels.tolist()
    assert len(validation) == count
    assert sorted(train + validation) == list(range(total))
    assert train == sorted(train)
    for part in (split.train, split.validation):
        for order in (None, torch.arange(len(part)).flip(0)):
            batches = list(part.batches(order, 7))
            images = torch.cat([images.flatten() for images, _ in batches]) if batches else torch.empty(0)
            labels = torch.cat([labels for _, labels in batches]) if batches else torch.empty(0, dtype=torch.int64)
            assert torch.equal(images, labels.float())
            assert torch.equal(labels, part.labels if order is None else part.labels[order])
    assert split.test.labels.tolist() == list(range(500, 507))


def test_the_data_sets_own_split_stays_unless_overridden() -> None:
    published = dataset()
    assert hold_out(published, "own") is published


def test_the_split_is_the_same_every_time_and_drawn_from_everywhere() -> None:
    first, again = (hold_out(dataset(), "40").validation.labels for _ in range(2))
    torch.rand(3)
    assert torch.equal(first, again)
    assert 10 < sum(label < 50 for label in first.tolist()) < 30


def test_a_fraction_rounds_half_to_even_of_the_exact_product() -> None:
    assert [held_out_count(text, 50) for text in ("0.01", "0.03", "0.05", "0.07")] == [0, 2, 2, 4]
    assert held_out_count("0.29", 100) == 29  # 0.29 * 100 is 28.999999999999996 in floats


@pytest.mark.parametrize("asked", ["100", "5000"])
def test_holding_everything_out_is_refused(asked: str) -> None:
    with pytest.raises(ValueError, match=f"validation {asked}: there are 100 images to train and validate on"):
        hold_out(dataset(), asked)


def test_the_table_says_how_large_the_own_split_of_the_digits_is() -> None:
    assert len(load_dataset(DatasetConfig(name="digits")).validation) == DATASETS["digits"].num_validation == 200
