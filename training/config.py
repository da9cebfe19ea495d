"""What a trial is: frozen configurations, without torch, that name every choice that can change a result.

Nothing here depends on the machine: device, data root, time limits and attempts are not part of a trial.
Options are JSON text because a configuration must be hashable and have one stable form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

NUMERICS_VERSION = 1
"""Bumped whenever the same configuration would give another result; trials of an older version run anew."""

DENSE_PRUNER = "none"
"""The pruner of a trial at density 1: nothing is removed, so which pruner was asked for cannot matter."""


def options_text(options: Mapping[str, Any] | list[Any]) -> str:
    """Canonical JSON of options: sorted keys, no spaces. Raises TypeError or ValueError for what JSON cannot hold."""
    return json.dumps(options, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of a trial; `fragment` is its share of the trial's identity."""

    @cached_property
    def fragment(self) -> str:
        """Canonical text of every field and of the part's kind."""
        return f"{type(self).__name__}{options_text(asdict(self))}"


@dataclass(frozen=True, kw_only=True)
class Named(Component):
    """Something found by name in one of our tables, or a user's "package.module:Name"."""

    name: str
    options: str = "{}"
    """Constructor arguments as canonical JSON."""
    source_hash: str = ""
    """Hash of what it reads besides our own code: a user's source and the local modules it imports, a weights file."""

    @cached_property
    def kwargs(self) -> dict[str, Any]:
        """The options as keyword arguments."""
        return dict(json.loads(self.options))


@dataclass(frozen=True, kw_only=True)
class DatasetConfig(Named):
    """A data set."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Named):
    """A model."""


@dataclass(frozen=True, kw_only=True)
class PrunerConfig(Named):
    """A pruner: its criterion and how it is applied."""

    iterations: int = 1
    """Rounds of scoring and pruning, at least 1."""
    schedule: str = "exponential"
    """Densities between the first and the last round: "exponential", "linear", or the densities as "0.5,0.2"."""
    scope: str = "global"
    """"global": all layers ranked together; "local": the same density in every layer; or densities of layers as JSON
    (`pruning.scopes`)."""
    mode: str = "eval"
    """The network's mode while scoring: "eval" or "train"."""
    score_dtype: str = "float32"
    """Precision of scoring: "float32" or "float64"."""
    prunable: str = "weights"
    """What may be removed (`pruning.prunable`): kinds separated by commas, in the order of `PRUNABLE_KINDS`."""
    ablation: str = "none"
    """A sanity check of the mask (`pruning.ablations`): "none", "shuffle", "reinitialise" or "invert"."""


@dataclass(frozen=True, kw_only=True)
class Seeds(Component):
    """Where randomness comes from. Usually one number three times; split to vary one source alone."""

    init: int
    """Initial weights."""
    data: int
    """Order of the training examples, and dropout."""
    prune: int
    """Prune set and random scores."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Component):
    """How a pruned network is trained."""

    epochs: int
    """Passes over the training set, at least 0."""
    optimizer: str = "momentum"
    """"sgd", "momentum" (Nesterov) or "adam"."""
    lr: float = 0.1
    """Learning rate before any drop, > 0."""
    momentum: float = 0.9
    """Momentum of "momentum"; the others have none, whatever is given."""
    weight_decay: float = 0.0
    """L2 penalty on every parameter, >= 0."""
    batch_size: int = 128
    """Images a step; the last batch of an epoch may be smaller."""
    lr_drops: tuple[int, ...] = ()
    """Epochs after which the learning rate is multiplied by `lr_drop_factor`."""
    lr_drop_factor: float = 0.1
    """In (0, 1); 0.1 where nothing is dropped."""


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One prune-and-train trial, complete."""

    dataset: DatasetConfig
    model: ModelConfig
    pruner: PrunerConfig
    density: Decimal
    """Fraction of prunable weights kept, canonical (`pruning.density.canonical_density`)."""
    seeds: Seeds
    training: TrainingConfig

    def to_json(self) -> str:
        """The configuration as JSON; `from_json` reads it back equal."""
        return options_text(asdict(self) | {"density": str(self.density)})

    @classmethod
    def from_json(cls, text: str) -> TrialConfig:
        """The configuration that `to_json` wrote."""
        fields = json.loads(text)
        training = fields["training"] | {"lr_drops": tuple(fields["training"]["lr_drops"])}
        return cls(
            dataset=DatasetConfig(**fields["dataset"]),
            model=ModelConfig(**fields["model"]),
            pruner=PrunerConfig(**fields["pruner"]),
            density=Decimal(fields["density"]),
            seeds=Seeds(**fields["seeds"]),
            training=TrainingConfig(**training),
        )
