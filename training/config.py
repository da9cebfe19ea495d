"""What a trial is: frozen configurations, without torch, that name every choice that can change a result.

Nothing here depends on the machine: device, data root, time limits and attempts are not part of a trial.
Options are JSON text because a configuration must be hashable and have one stable form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from pruning.table import SMALLER_NETWORKS

NUMERICS_VERSION = 2
"""Bumped whenever the same configuration would give another result; trials of an older version run anew."""

CHECKPOINT_SECONDS = 300.0
"""Between checkpoints of a trial unless told otherwise: shorter trials write none. Not part of a trial."""
LOOKS_AHEAD = 16
"""Trials that the fused engine begins together: their networks wait for each other in memory."""
WHOSE = ".json"
"""Ends the file beside a snapshot's folder that holds the configuration of a trial it is for."""

OWN_VALIDATION = "own"
"""`DatasetConfig.validation` of a data set as it is split by whoever published it."""

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
    """A data set and what of it is held out."""

    validation: str = OWN_VALIDATION
    """"own": the data set's own validation split, where it has one; or how much of training and own validation images
    together is held out, as a decimal: a count ("5000"; "0" trains on everything) or a fraction below 1 ("0.1")."""


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
    examples_per_class: int = 10
    """Size of the prune set over the number of classes; the examples are drawn without regard to class. Paper: 10."""

    @property
    def builds_smaller(self) -> bool:
        """Whether the trial trains a narrower dense network (`training.small_dense`) instead of masking the model."""
        return self.name in SMALLER_NETWORKS

    @property
    def is_dense(self) -> bool:
        """Whether every weight of the network that is trained is kept."""
        return self.name == DENSE_PRUNER or self.builds_smaller


@dataclass(frozen=True, kw_only=True)
class LevelsConfig(Component):
    """Training before and between prunings (`training.levels`). By default there is none: pruning at initialisation."""

    pre_epochs: int = 0
    """Epochs trained before each pruning, at most the recipe's; 0: the network is pruned as initialised."""
    levels: int = 1
    """Times that training and pruning take turns, at least 1; the pruner's schedule then says how far each prunes."""
    rewind: str = "none"
    """Where training goes on after a pruning: "none", "weights" or "lr" (`training.levels`)."""
    rewind_step: int = 0
    """Optimizer steps of the recipe to rewind to, >= 0; 0 is the initialisation."""
    fine_tune_epochs: int = 0
    """Epochs after each pruning where nothing is rewound; 0: what the recipe has left."""


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
    """How a pruned network is trained. Formulas and sources of every option: docs/recipes.md."""

    epochs: int
    """Passes over the training set, at least 0: then a network is pruned, and neither trained nor measured on data."""
    optimizer: str = "momentum"
    """"sgd", "momentum", "adam", "adamw" or "rmsprop"."""
    lr: float = 0.1
    """Learning rate after warm-up and before any drop, > 0."""
    momentum: float = 0.9
    """Of "momentum", in (0, 1)."""
    nesterov: bool = True
    """Whether "momentum" is Nesterov's, as the paper trains, or the heavy ball."""
    beta1: float = 0.9
    """Decay of the mean of gradients, of "adam" and "adamw", in [0, 1)."""
    beta2: float = 0.999
    """Decay of the mean of squared gradients, of "adam" and "adamw", in [0, 1)."""
    epsilon: float = 1e-8
    """Added to the root in the denominator, of "adam", "adamw" and "rmsprop", > 0."""
    rmsprop_alpha: float = 0.99
    """Decay of the mean of squared gradients, of "rmsprop", in [0, 1)."""
    weight_decay: float = 0.0
    """>= 0. An L2 penalty, part of the gradient; of "adamw", a shrinking of the parameters apart from it."""
    weight_decay_on: str = "all"
    """"all" parameters, or "weights": those of two dimensions or more, so neither biases nor BatchNorm's."""
    batch_size: int = 128
    """Images a step; the last batch of an epoch may be smaller."""
    lr_schedule: str = "step"
    """"step": `lr_drops`; "cosine": half a cosine from `lr` to 0, step by step, after the warm-up."""
    lr_drops: tuple[int, ...] = ()
    """Epochs after which the learning rate is multiplied by `lr_drop_factor`, of "step"."""
    lr_drop_factor: float = 0.1
    """In (0, 1)."""
    warmup_epochs: float = 0.0
    """Epochs, at most `epochs`, over which the learning rate grows linearly, step by step."""
    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes while training, in [0, 1)."""
    clip_grad_norm: float = 0.0
    """Largest Euclidean norm of all gradients together, those of removed weights not counted; 0: no limit."""
    precision: str = "float32"
    """"float32", or "bf16": forward passes of training under bfloat16 autocast. Parameters and measuring: float32."""
    augment: bool = False
    """Whether training images go through the data set's own augmentation."""

    def folded(self) -> TrainingConfig:
        """The configuration that stands for all that train alike: what is unused has its default (momentum is 0)."""
        if not self.epochs:
            return TrainingConfig(epochs=0)
        unused: dict[str, Any] = {
            name: 0.0 if name == "momentum" else field.default
            for name, field in self.__dataclass_fields__.items()
            if self.optimizer not in OPTIMIZERS_USING.get(name, OPTIMIZERS)
        }
        drops = (
            tuple(sorted(drop for drop in self.lr_drops if drop < self.epochs)) if self.lr_schedule == "step" else ()
        )
        unused |= {"lr_drops": drops} | ({} if drops else {"lr_drop_factor": 0.1})
        if not self.weight_decay:
            unused["weight_decay_on"] = "all"
        return replace(self, **unused)


PRECISIONS = ("float32", "bf16")
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
OPTIMIZERS_USING = {
    "momentum": ("momentum",),
    "nesterov": ("momentum",),
    "beta1": ("adam", "adamw"),
    "beta2": ("adam", "adamw"),
    "epsilon": ("adam", "adamw", "rmsprop"),
    "rmsprop_alpha": ("rmsprop",),
}
"""Options that only some optimizers read."""


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
    levels: LevelsConfig = LevelsConfig()

    def to_json(self) -> str:
        """The configuration as JSON; `from_json` reads it back equal."""
        return options_text(asdict(self) | {"density": str(self.density)})

    @classmethod
    def from_json(cls, text: str) -> TrialConfig:
        """The configuration that `to_json` wrote."""
        return cls._of(json.loads(text))

    @classmethod
    def from_parts(cls, texts: Mapping[str, str]) -> TrialConfig:
        """The configuration whose parts have these texts (`part_text`), by field."""
        return cls._of({name: json.loads(text) for name, text in texts.items()})

    @classmethod
    def _of(cls, fields: Mapping[str, Any]) -> TrialConfig:
        training = fields["training"] | {"lr_drops": tuple(fields["training"]["lr_drops"])}
        return cls(
            dataset=DatasetConfig(**fields["dataset"]),
            model=ModelConfig(**fields["model"]),
            pruner=PrunerConfig(**fields["pruner"]),
            density=Decimal(fields["density"]),
            seeds=Seeds(**fields["seeds"]),
            training=TrainingConfig(**training),
            levels=LevelsConfig(**fields["levels"]),
        )


def part_text(part: Component | Decimal) -> str:
    """A part of a configuration, or its density, as JSON; `TrialConfig.from_parts` reads it back equal."""
    return json.dumps(str(part)) if isinstance(part, Decimal) else options_text(asdict(part))
