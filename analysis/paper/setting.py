"""What a published number was measured on, and why a result of ours was measured on something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COLUMNS = ("dataset", "dataset_options", "model", "model_options", "epochs")
"""Of `results`: what a setting is compared with."""

IMAGENET_SHAPE = ("blank", '{"num_classes":1000,"shape":[3,224,224]}')
CIFAR100_SHAPE = ("blank", '{"num_classes":100,"shape":[3,32,32]}')
"""Data sets without images: the same to a pruner that looks at none."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Data sets, each with its options as JSON, any of which gives the number; model; epochs, None where none count."""

    datasets: tuple[tuple[str, str], ...]
    model: str
    epochs: int | None = None

    def cause(self, row: Mapping[str, Any]) -> str:
        """What of a row of `results` is not as published, in words; "" where all is."""
        parts = []
        if (row["dataset"], row["dataset_options"]) not in self.datasets:
            parts.append(f"data set {_named(row['dataset'], row['dataset_options'])}, published {self.datasets[0][0]}")
        if (row["model"], row["model_options"]) != (self.model, "{}"):
            parts.append(f"model {_named(row['model'], row['model_options'])}, published {self.model}")
        if self.epochs is not None and row["epochs"] != self.epochs:
            parts.append(f"{row['epochs']} epochs, published {self.epochs}")
        return "; ".join(parts)


def _named(name: str, options: str) -> str:
    return name if options == "{}" else f"{name} {options}"
