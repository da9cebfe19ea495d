"""docs/datasets.md names every data set, and its example of one's own works."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.table import DATASETS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "datasets.md").read_text()


def test_every_data_set_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)) == set(DATASETS)


def test_the_example_of_ones_own_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_data_example.py").write_text(code)
    images = torch.randint(256, (8100, 3, 4, 4), dtype=torch.uint8)
    torch.save((images, torch.arange(8100) % 10), tmp_path / "mine-4.pt")
    monkeypatch.syspath_prepend(str(tmp_path))
    dataset = load_dataset(DatasetConfig(name="my_data_example:load", options='{"size":4}'), tmp_path)
    del sys.modules["my_data_example"]
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (8000, 0, 100)
    assert next(dataset.train.batches(None, 4, augment=1))[0].shape == (4, 3, 4, 4)
