"""The data sets that ship, by name. Nothing here imports torch: a loader is imported when a trial needs it.

A new data set is one file beside this one and one entry here. A user's own is `package.module:function` in a sweep
file: anything that can be called with its options and returns `training.datasets.contract.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """A data set and what it holds."""

    target: str
    """"module:function"."""
    summary: str
    source: str
    input_shape: tuple[int, int, int]
    """(channels, height, width): known without loading, so that planning reads no data."""
    num_classes: int
    num_validation: int = 0
    """Images of its own validation split."""
    options: tuple[str, ...] = ()
    """Names of the function's arguments."""


DATASETS: dict[str, DatasetEntry] = {
    "digits": DatasetEntry(
        target="training.datasets.digits:load",
        summary="1,797 handwritten digits, 8x8 grey, 10 classes; 1,097 train, 200 validation, 500 test",
        source="UCI optical recognition of handwritten digits, as in scikit-learn",
        input_shape=(1, 8, 8),
        num_classes=10,
        num_validation=200,
    ),
}
