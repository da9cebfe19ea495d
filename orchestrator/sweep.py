"""The sweep file's shape: strict types that say what a file may hold, and nothing about how it is run.

Wherever one value is allowed, a list makes it an axis; numbers also take `{start, stop, step}`. The grid is the product
of all axes, and each entry under `pruner` multiplies with the axes it carries itself. Options of a model, data set or
pruner are single values: to vary one, write two entries.
"""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from models.table import MODELS
from orchestrator.axis import RANGE_KEYS, Axis, Strict
from orchestrator.budget import BudgetSpec
from orchestrator.errors import did_you_mean
from orchestrator.presets import Preset, load_presets
from orchestrator.recipe import TrainingSpec, contradiction, merged
from pruning.density import DensityUnit, canonical_density
from pruning.table import ALL_PRUNERS, DYNAMIC_PRUNERS, PRUNERS, SMALLER_NETWORKS
from training.config import DENSE_PRUNER, OWN_VALIDATION
from training.datasets.table import DATASETS

CUSTOM_NAME = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")
"""A user's own: package.module:Name."""

LONGEST_NAME = 200
"""Bytes of a sweep's name: file systems allow 255 for a file's, and ours end in .parquet."""
LARGEST_SEED = 2**63 - 1
SMALLEST_DENSITY = Decimal("1e-15")
"""No network has a weight left below it."""
DENSITY_UNITS: tuple[DensityUnit, ...] = ("sparsity", "density", "compression_ratio", "compression_exponent")


class _Choice(Strict):
    """Something chosen by name; every key that is not a field of ours is an option of the thing chosen."""

    model_config = ConfigDict(extra="allow")
    kind: ClassVar[str]
    known: ClassVar[dict[str, Any]]

    name: Axis[str]
    """A name that `prunesweep show` lists, or `package.module:Name` beside the sweep file."""

    @model_validator(mode="before")
    @classmethod
    def _from_bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _known_name(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in cls.known and not CUSTOM_NAME.match(name):
                hint = did_you_mean(name, cls.known)
                message = "unknown {kind} {name}: {hint} (your own is written package.module:Name)"
                raise PydanticCustomError("unknown_name", message, {"kind": cls.kind, "name": repr(name), "hint": hint})
        return names

    @model_validator(mode="after")
    def _known_options(self) -> _Choice:
        for name in self.name:
            if name in self.known:
                for option in self.options:
                    if option not in self.known[name].options:
                        valid = [*self.keys_of(name), *self.known[name].options]
                        raise PydanticCustomError(
                            "unknown_option",
                            "unknown key {option} for {kind} {name}: {hint}",
                            {
                                "option": repr(option),
                                "at": option,
                                "kind": self.kind,
                                "name": name,
                                "hint": did_you_mean(option, valid),
                            },
                        )
        return self

    @classmethod
    def keys_of(cls, name: str) -> list[str]:
        """Keys of ours that go with `name`, beside its options."""
        return list(cls.model_fields)

    @property
    def options(self) -> dict[str, Any]:
        """Constructor arguments."""
        return self.model_extra or {}


def _amount_held_out(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_count = is_number and isinstance(value, int) and value >= 0
    if value == OWN_VALIDATION or is_count or (is_number and 0 < value < 1):
        return value
    raise PydanticCustomError("validation", "expected own, a number of images, or a fraction of them below 1")


class DatasetSpec(_Choice):
    """A data set."""

    kind = "data set"
    known = DATASETS

    validation: Axis[Annotated[Literal["own"] | int | float, BeforeValidator(_amount_held_out)]] | None = None
    """Images held out of training to select an epoch by: a count, or a fraction below 1; 0 trains on everything; own is
    the data set's own validation split, where it has one, and the default."""


class ModelSpec(_Choice):
    """A model."""

    kind = "model"
    known = MODELS


def _lone_list_is_one_schedule(value: Any) -> Any:
    """`schedule: [0.5, 0.2]` is one schedule of two stops, not an axis of two numbers."""
    is_list = isinstance(value, list) and value
    return [value] if is_list and all(isinstance(one, int | float) for one in value) else value


def _lone_list_is_one_choice(value: Any) -> Any:
    """`prunable: [weights, biases]` is one choice of two kinds, not an axis of two."""
    if isinstance(value, str):
        return [[value]]
    is_list = isinstance(value, list) and value
    return [value] if is_list and all(isinstance(one, str) for one in value) else value


class PrunerSpec(_Choice):
    """A pruner with axes of its own. What is left out takes the pruner's defaults (`prunesweep show pruners`)."""

    kind = "pruner"
    known = ALL_PRUNERS

    iterations: Axis[Annotated[int, Field(ge=1, le=100_000)]] | None = None
    """Rounds of scoring and pruning."""
    schedule: (
        Annotated[
            Axis[
                Literal["exponential", "linear"]
                | list[Annotated[float, Field(gt=0, lt=1)]]
                | dict[Literal["cut"], Annotated[float, Field(gt=0, lt=1)]]
            ],
            BeforeValidator(_lone_list_is_one_schedule),
        ]
        | None
    ) = None
    """Densities between the first and the last round (or level, with several): exponential unless given, linear, the
    densities to stop at, falling, or {cut: 0.2} to remove a fifth of what is left each time."""
    scope: Axis[Literal["global", "local"] | dict[str, Annotated[float, Field(ge=0, le=1)]]] = ["global"]
    """global: all layers ranked together; local: the same density in every layer; {layer: density} fixes the density of
    the layers named (first, last, or as the model names them) and ranks the others together."""
    mode: Axis[Literal["eval", "train"]] | None = None
    """BatchNorm's mode while scoring."""
    score_dtype: Axis[Literal["float32", "float64"]] | None = None
    """Precision of scoring."""
    prunable: Annotated[
        Axis[list[Literal["weights", "biases", "batchnorm", "residual"]]], BeforeValidator(_lone_list_is_one_choice)
    ] = [["weights"]]
    """What may be removed, all counted in the sparsity: weights of layers, and biases, BatchNorm's scale (batchnorm),
    channels of shortcuts without parameters (residual). A list is one choice, a list of lists an axis."""
    ablation: Axis[Literal["none", "shuffle", "reinitialise", "invert"]] = ["none"]
    """shuffle the mask inside each layer, reinitialise the weights after pruning, or invert the scores."""
    examples_per_class: Axis[Annotated[int, Field(ge=1, le=1_000_000)]] | None = None
    """Prune set: this many times the number of classes, drawn from the training set. 10 unless given."""
    pre_epochs: Axis[Annotated[int, Field(ge=0, le=1_000_000)]] | None = None
    """Epochs to train before each pruning; 0, pruning at initialisation, except for imp: the whole recipe."""
    levels: Axis[Annotated[int, Field(ge=1, le=10_000)]] | None = None
    """Times that training and pruning take turns; the schedule leads from level to level."""
    rewind: Axis[Literal["none", "weights", "lr"]] | None = None
    """After a pruning, go back to rewind_step: weights, BatchNorm and optimizer, or only the learning rate."""
    rewind_step: Axis[Annotated[int, Field(ge=0, le=10**12)]] = [0]
    """Optimizer steps of the recipe to rewind to; 0 is the initialisation."""
    fine_tune_epochs: Axis[Annotated[int, Field(ge=0, le=1_000_000)]] = [0]
    """Epochs after each pruning where nothing is rewound; 0: what the recipe has left."""

    @classmethod
    def keys_of(cls, name: str) -> list[str]:
        """Nothing but its options goes with a pruner that scores no weights before training."""
        return ["name"] if name in DYNAMIC_PRUNERS | SMALLER_NETWORKS else super().keys_of(name)

    @model_validator(mode="after")
    def _schedules_are_sound(self) -> PrunerSpec:
        spelled_out = [one for one in self.schedule or [] if not isinstance(one, str)]
        for stops in spelled_out:
            if isinstance(stops, list) and (not stops or any(a <= b for a, b in pairwise(stops))):
                raise PydanticCustomError("schedule", "a list of densities to stop at falls from round to round")
        if not spelled_out or len(spelled_out) < len(self.schedule or []):
            return self
        trains = self.pre_epochs or any(name in PRUNERS and PRUNERS[name].trains_first for name in self.name)
        counted, what = ("levels", self.levels) if trains else ("iterations", self.iterations)
        if what is not None:
            raise PydanticCustomError(
                "schedule",
                "{counted} is set, but a list of densities has as many rounds as it says: remove one",
                {"counted": counted},
            )
        return self

    @model_validator(mode="after")
    def _pruners_without_scores_have_no_rounds(self) -> PrunerSpec:
        given = sorted(self.model_fields_set - {"name"} - set(self.options))
        for name in self.name:
            if name in DYNAMIC_PRUNERS and given:
                raise PydanticCustomError(
                    "during_training",
                    "{name} changes its masks while the network trains and has no {key}: remove the key",
                    {"name": name, "key": given[0], "at": given[0]},
                )
            if name in SMALLER_NETWORKS and given:
                raise PydanticCustomError(
                    "smaller_network",
                    "{name} is a narrower dense network, of which nothing is removed, and has no {key}: remove the key",
                    {"name": name, "key": given[0], "at": given[0]},
                )
        return self

    @model_validator(mode="after")
    def _weights_are_prunable(self) -> PrunerSpec:
        for kinds in self.prunable:
            if "weights" not in kinds or len(set(kinds)) < len(kinds):
                message = "expected weights and what else may be removed, each once: [weights, biases]"
                raise PydanticCustomError("prunable", message, {"at": "prunable"})
        if self.prunable != [["weights"]]:
            for name in self.name:
                if name in PRUNERS and PRUNERS[name].weights_only:
                    message = (
                        "{name} is defined for weights alone: leave prunable out, or give {name} an entry of its own"
                    )
                    raise PydanticCustomError("prunable", message, {"name": name, "at": "prunable"})
        return self

    @model_validator(mode="after")
    def _scope_is_left_to_those_that_set_densities(self) -> PrunerSpec:
        if {} in self.scope:
            raise PydanticCustomError("scope", "a scope of no layers is global: write that", {"at": "scope"})
        if self.scope != ["global"]:
            for name in self.name:
                if name in PRUNERS and PRUNERS[name].sets_densities:
                    message = (
                        "{name} sets each layer's density itself: leave scope out, or give {name} an entry of its own"
                    )
                    raise PydanticCustomError("scope", message, {"name": name, "at": "scope"})
        return self


class SeedSpec(Strict):
    """`5`, `[0, 1, 2]`, `{count: 5}`, or `{init: ..., data: ..., prune: ...}` to vary one source of chance alone."""

    count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Seeds 0 to count - 1."""
    values: Axis[Annotated[int, Field(ge=0, le=LARGEST_SEED)]] | None = None
    init: Axis[Annotated[int, Field(ge=0, le=LARGEST_SEED)]] | None = None
    """Initial weights."""
    data: Axis[Annotated[int, Field(ge=0, le=LARGEST_SEED)]] | None = None
    """Order of the training examples."""
    prune: Axis[Annotated[int, Field(ge=0, le=LARGEST_SEED)]] | None = None
    """Prune set and random scores."""

    @model_validator(mode="before")
    @classmethod
    def _from_numbers(cls, value: Any) -> Any:
        is_range = isinstance(value, dict) and RANGE_KEYS & set(value)
        return {"values": value} if isinstance(value, int | list) or is_range else value

    @model_validator(mode="after")
    def _one_form(self) -> SeedSpec:
        forms = [self.count is not None, self.values is not None, bool(self.init or self.data or self.prune)]
        if sum(forms) != 1:
            raise PydanticCustomError(
                "seed", "expected a number, a list, {count: n}, or {init: ..., data: ..., prune: ...}"
            )
        return self


class ResourceSpec(Strict):
    """What each trial reserves of the machines it runs on: how, not what, so no part of a trial."""

    gpu: Literal["auto", "fit"] | Annotated[float, Field(ge=0)] = "auto"
    """GPUs: 0.25 puts four trials on one, whose memory they share; fit as many as fit by what such trials took before;
    auto is one where the cluster has any."""
    cpu: Annotated[float, Field(gt=0)] = 1.0
    """Cores. A trial computes on one; more where its data set is read by processes, or to leave memory for it."""

    @field_validator("gpu", mode="before")
    @classmethod
    def _known_word(cls, gpu: Any) -> Any:
        if isinstance(gpu, str) and gpu not in ("auto", "fit"):
            hint = did_you_mean(gpu, ["auto", "fit", "a number"])
            raise PydanticCustomError("gpu", "{gpu} is no number of GPUs: {hint}", {"gpu": repr(gpu), "hint": hint})
        return gpu


class Sweep(Strict):
    """A whole sweep file."""

    name: str
    """Results go to results/<name> unless told otherwise."""
    preset: str | None = None
    """Published settings by name (`prunesweep show presets`). Keys written here take precedence over its."""
    dataset: Axis[DatasetSpec]
    model: Axis[ModelSpec]
    pruner: Axis[PrunerSpec]
    sparsity: Axis[float] | None = None
    """Fraction removed, in [0, 1)."""
    density: Axis[float] | None = None
    """Fraction kept, in (0, 1]."""
    compression_ratio: Axis[float] | None = None
    """1 / density, at least 1."""
    compression_exponent: Axis[float] | None = None
    """log10(1 / density), at least 0: 4 is 99.99 % sparsity."""
    seed: SeedSpec = SeedSpec(count=1)
    training: TrainingSpec = TrainingSpec()
    data_root: str | None = None
    """The folder of data sets: where, not what, so no part of a trial. --data-root goes before it, $PRUNESWEEP_DATA
    after it. A relative one counts from the folder you run in."""
    budget: BudgetSpec | None = None
    """What may be spent, by hours of trials or money; then nothing further is begun, and a larger budget goes on."""
    resources: ResourceSpec = ResourceSpec()
    """GPUs and cores a trial; --gpus-per-trial and --cpus-per-trial go before it."""
    save_masks: bool = False
    """Keep every trial's masks, eight weights a byte. Does not make a trial that is done run again."""
    save_unit_scores: bool = False
    """Keep the score into and out of every hidden unit (figure 3 of the paper). Nor does this."""

    @field_validator("name")
    @classmethod
    def _name_is_a_folder_name(cls, name: str) -> str:
        if not name.strip() or name != name.strip() or re.search(r"[/\\\x00-\x1f]", name) or name.startswith("."):
            raise PydanticCustomError(
                "name", "a name becomes a folder: expected text without slashes, not empty, not starting with a dot"
            )
        if len(name.encode()) > LONGEST_NAME:
            raise PydanticCustomError("name", "a name becomes a folder: expected at most 200 bytes")
        return name

    @field_validator(*DENSITY_UNITS)
    @classmethod
    def _in_range(cls, values: list[float] | None, info: Any) -> list[float] | None:
        for value in values or []:
            try:
                density = canonical_density(info.field_name, value)
            except ValueError as error:
                raise PydanticCustomError("density", "{problem}", {"problem": str(error)}) from None
            if density < SMALLEST_DENSITY:
                message = "{unit} {value} leaves no weight in any network: expected a density of at least {smallest}"
                raise PydanticCustomError(
                    "density", message, {"unit": info.field_name, "value": value, "smallest": str(SMALLEST_DENSITY)}
                )
        return values

    @model_validator(mode="after")
    def _one_density_unit(self) -> Sweep:
        given = [unit for unit in DENSITY_UNITS if getattr(self, unit) is not None]
        if len(given) != 1:
            message = "expected exactly one of {units}; got {given}"
            raise PydanticCustomError(
                "density_unit", message, {"units": ", ".join(DENSITY_UNITS), "given": " and ".join(given) or "none"}
            )
        return self

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in load_presets():
            hint = did_you_mean(name, load_presets())
            raise PydanticCustomError("preset", "unknown preset {name}: {hint}", {"name": repr(name), "hint": hint})
        return name

    @model_validator(mode="after")
    def _models_can_be_narrower_where_asked(self) -> Sweep:
        asked = [name for spec in self.pruner for name in spec.name if name in SMALLER_NETWORKS]
        for spec in self.model if asked else []:
            for name in spec.name:
                if name in MODELS and "width_factor" not in MODELS[name].options:
                    message = "{model} cannot be made narrower, as {pruner} asks: give {model} a sweep file of its own"
                elif spec.options.get("weights") is not None:
                    message = (
                        "weights fit the full {model} only, not the narrower one of {pruner}: remove one of the two"
                    )
                else:
                    continue
                raise PydanticCustomError(
                    "smaller_network", message, {"model": name, "pruner": asked[0], "at": ["model"]}
                )
        return self

    @model_validator(mode="after")
    def _recipes_are_sound(self) -> Sweep:
        for name in self.model_names:
            if self.published and self.published.row(name) is None:
                message = (
                    "preset {preset} has no settings for model {model}, only for {known}: take the model out, "
                    "or remove the preset and write the settings under training"
                )
                known = self.published.models_text
                raise PydanticCustomError(
                    "preset", message, {"preset": self.preset, "model": name, "known": known, "at": ["preset"]}
                )
            recipe = self.recipe(name)
            if self.published and "optimizer" in self.training.given and not self.training.lr:
                message = "the learning rate of preset {preset} belongs to its optimizer: write lr as well"
                raise PydanticCustomError("preset", message, {"preset": self.preset, "at": ["training", "optimizer"]})
            if not recipe.epochs:
                message = "'epochs' is missing; `prunesweep init` writes an example with every key"
                raise PydanticCustomError("missing_epochs", message, {"at": ["training"]})
            if found := contradiction(recipe, self.training.model_fields_set):
                is_written = found.key in self.training.model_fields_set
                origin = "" if is_written else f" (from preset {self.preset}: write {found.key} as well)"
                at = ["training", found.key if is_written else "epochs"]
                raise PydanticCustomError(
                    "contradiction", "{problem}{origin}", {"problem": found.text, "origin": origin, "at": at}
                )
        return self

    @property
    def published(self) -> Preset | None:
        """The preset asked for."""
        return load_presets()[self.preset] if self.preset else None

    @property
    def model_names(self) -> list[str]:
        """Names of all models of the grid, each once, in the order written."""
        return list(dict.fromkeys(name for spec in self.model for name in spec.name))

    def recipe(self, model: str) -> TrainingSpec:
        """How `model` is trained: what is written, then what the preset says of it, then the defaults."""
        return merged(self.published.training_of(model), self.training) if self.published else self.training

    @property
    def densities(self) -> list[Decimal]:
        """Canonical densities of the grid, in the order written."""
        unit = next(unit for unit in DENSITY_UNITS if getattr(self, unit) is not None)
        return list(dict.fromkeys(canonical_density(unit, value) for value in getattr(self, unit)))


assert DENSE_PRUNER not in ALL_PRUNERS, "the dense trial's pruner name must stay free"
