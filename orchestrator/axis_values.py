"""The axes that people read, and how the value of a trial on each is written."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from orchestrator.parts import Parts
from orchestrator.pruner_text import pruner_text
from training.config import DatasetConfig, LevelsConfig, ModelConfig, PrunerConfig

AXES: dict[str, tuple[str, ...]] = {
    "dataset": ("dataset",),
    "model": ("model",),
    "pruner": ("pruner", "levels"),
    "density": ("density",),
}
"""The parts of a configuration that make up each axis."""


def axis_value(axis: str, parts: Parts, numbers: tuple[int, ...]) -> str:
    """The text of a value on an axis, from the numbers of the parts that make it up."""
    chosen: list[Any] = [parts.of[name][number] for name, number in zip(AXES[axis], numbers, strict=True)]
    return _TEXTS[axis](*chosen)


@lru_cache(maxsize=4096)
def _pruner(pruner: PrunerConfig, levels: LevelsConfig) -> str:
    return pruner_text(asdict(pruner) | asdict(levels) | {"pruner": pruner.name, "pruner_options": pruner.options})


def _dataset(dataset: DatasetConfig) -> str:
    return dataset.name


def _model(model: ModelConfig) -> str:
    return model.name if model.options == "{}" else f"{model.name} {model.options}"


_TEXTS: dict[str, Any] = {
    "dataset": _dataset,
    "model": _model,
    "pruner": _pruner,
    "density": lambda density: f"{density:f}",
}
