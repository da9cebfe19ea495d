"""What a published number was measured on, and why a result of ours was measured on something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

COLUMNS = ("dataset", "dataset_options", "model", "model_options", "epochs")
"""Of `results`: what a setting is compared with."""

IMAGENET_SHAPE = ("blank", '{"num_classes":1000,"shape":[3,224,224]}')
CIFAR100_SHAPE = ("blank", '{"num_classes":100,"shape":[3,32,32]}')
"""Data sets without images: the same to a pruner that looks at none."""
LOOKS_AT_NOTHING = ("random", "magnitude", "synflow")
LOOKS_AT_IMAGES = ("snip", "grasp")
"""Pruners of the paper that look at no image, and those that do."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Data sets, each with its options as JSON, any of which gives the number; model; epochs, None where none count."""

    datasets: tuple[tuple[str, str], ...]
    model: str
    epochs: int | None = None

    def cause(self, rows: pl.DataFrame) -> str:
        """What of rows of `results` is not as published, in words; "" where all is."""
        distinct = rows.select(COLUMNS).unique(maintain_order=True).iter_rows(named=True)
        return "; ".join(dict.fromkeys(part for row in distinct for part in self._differences(row)))

    def _differences(self, row: Mapping[str, Any]) -> list[str]:
        parts = []
        if (row["dataset"], row["dataset_options"]) not in self.datasets:
            parts.append(f"data set {_named(row['dataset'], row['dataset_options'])}, published {self.datasets[0][0]}")
        if (row["model"], row["model_options"]) != (self.model, "{}"):
            parts.append(f"model {_named(row['model'], row['model_options'])}, published {self.model}")
        if self.epochs is not None and row["epochs"] != self.epochs:
            parts.append(f"{row['epochs']} epochs, published {self.epochs}")
        return parts


IMAGENET = Setting(datasets=(("imagenet", "{}"), IMAGENET_SHAPE), model="vgg19")
"""Of the figures that are drawn of VGG-19 at initialisation."""


def imagenet_cause(pruner: str, rows: pl.DataFrame) -> str:
    """Why results of a pruner that looks at images are not those of VGG-19 on ImageNet; "" for one that looks at none.

    What such a pruner does to a network of another size is said by its numbers; other images are another question.
    """
    return "" if pruner in LOOKS_AT_NOTHING else IMAGENET.cause(rows)


def _named(name: str, options: str) -> str:
    return name if options == "{}" else f"{name} {options}"
