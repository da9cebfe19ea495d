"""Turn names in a configuration into objects: models, criteria, data sets; ours by table, a user's by import."""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.table import MODELS
from pruning.criteria.contract import Criterion
from pruning.table import ALL_PRUNERS
from training.config import DatasetConfig, ModelConfig, Named, PrunerConfig
from training.datasets.checks import check_dataset
from training.datasets.checksum import checksum
from training.datasets.contract import Dataset, Split
from training.datasets.root import data_root
from training.datasets.table import DATASETS
from training.seeds import global_seed


def load_dataset(config: DatasetConfig, root: str | Path | None = None) -> Dataset:
    """The configured data set, on the CPU, checked. A loader that takes `data_root` is given the root of data sets.

    Raises ValueError, naming the place and the remedy, for files that are missing or damaged and for bad labels.
    """
    entry = DATASETS.get(config.name)
    target = entry.target if entry else config.name
    given = {"data_root": data_root(root)} if _takes(target, "data_root") else {}
    dataset = _call(target, config, **given)
    if not isinstance(dataset, Dataset):
        raise TypeError(f"data set {config.name}: returned {type(dataset).__name__}, expected a Dataset")
    check_dataset(dataset, config.name)
    return dataset if dataset.content_hash else replace(dataset, content_hash=_content_hash(dataset))


def build_model(
    config: ModelConfig,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    init_seed: int,
    purpose: str = "init",
) -> nn.Module:
    """The configured model with its weights: a function of (config, shape, classes, init_seed, purpose) alone."""
    entry = MODELS.get(config.name)
    with global_seed(init_seed, purpose):
        model = _call(entry.target if entry else config.name, config, input_shape=input_shape, num_classes=num_classes)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model {config.name}: returned {type(model).__name__}, expected a torch.nn.Module")
    return model


def build_shapes(config: ModelConfig, *, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The configured model for its shapes alone: on the meta device, unless a user's model reads values when built."""
    try:
        with torch.device("meta"):
            return build_model(config, input_shape=input_shape, num_classes=num_classes, init_seed=0)
    except (NotImplementedError, RuntimeError):  # what tensors without values raise
        return build_model(config, input_shape=input_shape, num_classes=num_classes, init_seed=0)


def takes_option(config: ModelConfig, option: str) -> bool:
    """Whether a model, ours or a user's, has an option of this name."""
    entry = MODELS.get(config.name)
    return option in entry.options if entry else _takes(config.name, option)


def build_criterion(config: PrunerConfig) -> Criterion:
    """The configured pruning criterion."""
    entry = ALL_PRUNERS.get(config.name)
    criterion: Criterion = _call(entry.target if entry else config.name, config)
    return criterion


def _content_hash(dataset: Dataset) -> str:
    """Checksum of what lies in memory; "" for splits that are read as they are asked for."""
    splits = [one for one in (dataset.train, dataset.validation, dataset.test) if isinstance(one, Split)]
    tensors = [tensor.contiguous() for split in splits for tensor in (split.images, split.labels)]
    return checksum(*(tensor.view(torch.uint8).numpy() for tensor in tensors)) if len(splits) == 3 else ""


def _takes(target: str, argument: str) -> bool:
    try:
        return argument in inspect.signature(pkgutil.resolve_name(target)).parameters
    except ValueError:  # some of Python's own have no signature
        return False


def _call(target: str, config: Named, **arguments: Any) -> Any:
    return pkgutil.resolve_name(target)(**arguments, **config.kwargs)
