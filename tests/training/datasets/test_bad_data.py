"""Bad data is refused with the place and the remedy, never trained on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.contract import Dataset, Normalisation, Split
from training.datasets.decoded import checked
from training.datasets.table import DATASETS

from .conftest import WRITERS, Root, real_root

GREY = Normalisation(mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize("name", [name for name in WRITERS if DATASETS[name].is_fetched])
@pytest.mark.parametrize("damage", ["cut short", "a byte changed"])
def test_a_file_that_is_not_the_published_one_is_named_with_both_checksums(
    name: str, damage: str, standin: Root
) -> None:
    root = standin(name)
    for file, expected in DATASETS[name].files.items():
        content = (root / file).read_bytes()
        changed = bytearray(content)
        changed[-1] ^= 1
        (root / file).write_bytes(content[:-10] if damage == "cut short" else bytes(changed))
        remedy = rf"{re.escape(str(root / file))}: MD5 [0-9a-f]{{32}}, expected {expected}: .*remove it and run again"
        with pytest.raises(ValueError, match=remedy):
            load_dataset(DatasetConfig(name=name), root)
        (root / file).write_bytes(content)
    load_dataset(DatasetConfig(name=name), root)


def test_a_real_data_set_with_one_file_missing_names_that_file(tmp_path: Path) -> None:
    published = real_root("cifar100")
    (tmp_path / "cifar-100-python").mkdir()
    for file in ("train", "meta"):
        (tmp_path / "cifar-100-python" / file).symlink_to(published / "cifar-100-python" / file)
    with pytest.raises(ValueError, match=r"Missing there: cifar-100-python/test\. Put what is missing there, or name"):
        load_dataset(DatasetConfig(name="cifar100"), tmp_path)


def part(labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((len(labels), 1, 28, 28), np.uint8), np.array(labels)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([*range(10), 10], list(range(10)), "mnist: train: label 10 of image 10 is out of range: expected 0 to 9"),
        (list(range(10)), [-1, *range(10)], "mnist: test: label -1 of image 0 is out of range"),
        ([0, 1, 2, 3, 4, 5, 6, 8, 9], list(range(10)), r"1 of 10 classes have no image \(7\): data set mnist: train"),
        (list(range(10)), [4], r"9 of 10 classes have no image \(0, 1, 2, 3, 5, .*mnist: test: replace its files"),
    ],
)
def test_labels_of_published_files_are_checked(train: list[int], test: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(part(train), part(test), "mnist")


def split(**changes: torch.Tensor | Normalisation | None) -> Split:
    fields: dict[str, Any] = {"images": torch.zeros(4, 1, 3, 3), "labels": torch.tensor([0, 1, 0, 1])}
    return Split(**fields | changes)


GOOD = split()


def own(name: str) -> Callable[[], Dataset]:
    """Data sets as a user might return them."""
    wrong = {
        "label": split(labels=torch.tensor([0, 1, 2, 1])),
        "negative": split(labels=torch.tensor([0, -1, 0, 1])),
        "float_labels": split(labels=torch.zeros(4)),
        "few_labels": split(labels=torch.tensor([0, 1])),
        "bytes": split(images=torch.zeros(4, 1, 3, 3, dtype=torch.uint8)),
        "integers": split(images=torch.zeros(4, 1, 3, 3, dtype=torch.int64)),
        "nan": split(images=torch.full((4, 1, 3, 3), torch.nan)),
        "flat": split(images=torch.zeros(4, 9, 1)),
    }[name]
    return lambda: Dataset(train=GOOD, validation=wrong, test=GOOD, num_classes=2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("label", "data set .*: validation: label 2 of image 2 is out of range: expected 0 to 1 for 2 classes"),
        ("negative", "validation: label -1 of image 1 is out of range"),
        ("float_labels", r"labels are torch.float32 \(4,\): expected torch.int64"),
        ("few_labels", r"images \(4, 1, 3, 3\) for 2 labels: expected"),
        ("bytes", "uint8 images need a normalisation"),
        ("integers", "images are torch.int64: expected uint8, or floats"),
        ("nan", "some pixels are not finite"),
        ("flat", r"images \(4, 9, 1\) for 4 labels: expected \(n, channels"),
    ],
)
def test_a_users_data_set_is_checked_when_it_is_loaded(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("bad_data_module")
    module.load = own(name)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bad_data_module", module)
    with pytest.raises(ValueError, match=message):
        load_dataset(DatasetConfig(name="bad_data_module:load"))


def test_a_users_data_set_may_keep_bytes_and_is_given_the_root_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_set.py").write_text(
        "import torch\n"
        "from training.datasets.contract import Dataset, Normalisation, Split\n"
        "def load(data_root, level):\n"
        "    assert (data_root / 'own_set.py').exists()\n"
        "    split = Split(images=torch.full((2, 1, 1, 1), level, dtype=torch.uint8), labels=torch.tensor([0, 1]),\n"
        "                  normalisation=Normalisation(mean=(0.5,), std=(0.25,)))\n"
        "    return Dataset(train=split, validation=split, test=split, num_classes=2)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    dataset = load_dataset(DatasetConfig(name="own_set:load", options='{"level":255}'), tmp_path)
    images, labels = next(dataset.train.batches(None, 2))
    assert images.flatten().tolist() == [2.0, 2.0]
    assert labels.tolist() == [0, 1]
