"""The sweep file's shape: strict types that say what a file may hold, and nothing about how it is run.

Wherever one value is allowed, a list makes it an axis; numbers also take `{start, stop, step}`. The grid is the product
of all axes, and each entry under `pruner` multiplies with the axes it carries itself. Options of a model, data set or
pruner are single values: to vary one, write two entries.
"""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from models.table import MODELS
from orchestrator.errors import did_you_mean
from pruning.density import DensityUnit, canonical_density
from pruning.table import PRUNERS
from training.config import DENSE_PRUNER
from training.datasets.table import DATASETS

CUSTOM_NAME = re.compile(r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")
"""A user's own: package.module:Name."""

RANGE_KEYS = {"start", "stop", "step"}
LARGEST_AXIS = 1_000_000
LONGEST_NAME = 200
"""Bytes of a sweep's name: file systems allow 255 for a file's, and ours end in .parquet."""
LARGEST_SEED = 2**63 - 1
SMALLEST_DENSITY = Decimal("1e-15")
"""No network has a weight left below it."""
DENSITY_UNITS: tuple[DensityUnit, ...] = ("sparsity", "density", "compression_ratio", "compression_exponent")


def _as_axis(value: Any) -> Any:
    """A list of single values: wraps a lone one, expands ranges, refuses repeats and emptiness."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise PydanticCustomError("empty_axis", "an empty list leaves nothing to run: give at least one value")
    expanded: list[Any] = []
    for item in items:
        expanded += _expand_range(item) if isinstance(item, dict) and RANGE_KEYS & set(item) else [item]
    for index, item in enumerate(expanded):
        if len(expanded) <= 1000 and any(item == other and type(item) is type(other) for other in expanded[:index]):
            raise PydanticCustomError("repeated", "{item} is listed twice: remove one", {"item": repr(item)})
    return expanded


def _expand_range(item: dict[str, Any]) -> list[int | float]:
    """start, start + step, ... up to and including stop, in decimals so that 0.1 steps do not drift."""
    if set(item) != RANGE_KEYS or any(isinstance(v, bool) or not isinstance(v, int | float) for v in item.values()):
        raise PydanticCustomError("range", "a range is {start: number, stop: number, step: number}")
    start, stop, step = (Decimal(str(item[key])) for key in ("start", "stop", "step"))
    if not all(value.is_finite() for value in (start, stop, step)) or step <= 0 or stop < start:
        raise PydanticCustomError("range", "a range goes up: start <= stop and step > 0, all finite")
    count = int((stop - start) / step) + 1
    if count > LARGEST_AXIS:
        raise PydanticCustomError("range", "a range of {count} values: expected at most 1000000", {"count": count})
    kind = int if all(isinstance(value, int) for value in item.values()) else float
    return [kind(start + step * index) for index in range(count)]


class _OneOrMany:
    """Annotation: the field holds a list, the file may hold one value, a list, or (numbers) a range."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_axis, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        one = handler(schema)["items"]
        if one.get("type") in ("number", "integer"):
            span = {
                "type": "object",
                "properties": {key: {"type": "number"} for key in sorted(RANGE_KEYS)},
                "required": sorted(RANGE_KEYS),
                "additionalProperties": False,
            }
            one = {"anyOf": [one, span]}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


T = TypeVar("T")
Axis = Annotated[list[T], _OneOrMany()]


class _Strict(BaseModel):
    """Unknown keys are errors that name the nearest known one; nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, value: Any) -> Any:
        if isinstance(value, dict) and cls.model_config.get("extra") == "forbid":
            for key in value:
                if key not in cls.model_fields:
                    hint = did_you_mean(str(key), cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_key", "unknown key {key}: {hint}", {"key": repr(key), "hint": hint, "at": key}
                    )
        return value


class _Choice(_Strict):
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
                        valid = [*type(self).model_fields, *self.known[name].options]
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

    @property
    def options(self) -> dict[str, Any]:
        """Constructor arguments."""
        return self.model_extra or {}


class DatasetSpec(_Choice):
    """A data set."""

    kind = "data set"
    known = DATASETS


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
    known = PRUNERS

    iterations: Axis[Annotated[int, Field(ge=1, le=100_000)]] | None = None
    """Rounds of scoring and pruning."""
    schedule: Annotated[
        Axis[Literal["exponential", "linear"] | list[Annotated[float, Field(gt=0, lt=1)]]],
        BeforeValidator(_lone_list_is_one_schedule),
    ] = ["exponential"]
    """Densities between the first and the last round: exponential, linear, or the densities to stop at, falling."""
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

    @model_validator(mode="after")
    def _schedules_are_sound(self) -> PrunerSpec:
        spelled_out = [one for one in self.schedule if isinstance(one, list)]
        for stops in spelled_out:
            if not stops or any(a <= b for a, b in pairwise(stops)):
                raise PydanticCustomError("schedule", "a list of densities to stop at falls from round to round")
        if self.iterations is not None and len(spelled_out) == len(self.schedule):
            raise PydanticCustomError(
                "schedule", "iterations is set, but a list of densities has as many rounds as it says: remove one"
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


class SeedSpec(_Strict):
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


class TrainingSpec(_Strict):
    """How every pruned network is trained."""

    epochs: Axis[Annotated[int, Field(ge=1, le=1_000_000)]]
    """Passes over the training set."""
    optimizer: Axis[Literal["sgd", "momentum", "adam"]] = ["momentum"]
    """momentum is SGD with Nesterov momentum."""
    lr: Axis[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = [0.1]
    """Learning rate before any drop."""
    momentum: Axis[Annotated[float, Field(gt=0, lt=1)]] | None = None
    """For the optimizer `momentum`; 0.9 unless given."""
    weight_decay: Axis[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = [0.0]
    """L2 penalty on every parameter."""
    batch_size: Axis[Annotated[int, Field(ge=1, le=1_000_000_000)]] = [128]
    """Images a step."""
    lr_drops: list[Annotated[int, Field(ge=1)]] = []
    """Epochs after which the learning rate is multiplied by lr_drop_factor. One list: not an axis."""
    lr_drop_factor: Axis[Annotated[float, Field(gt=0, lt=1)]] = [0.1]

    @model_validator(mode="after")
    def _momentum_is_used(self) -> TrainingSpec:
        if self.momentum is not None and "momentum" not in self.optimizer:
            raise PydanticCustomError(
                "momentum",
                "momentum is set but no optimizer here uses it: write optimizer: momentum, or remove the key",
            )
        return self


class Sweep(_Strict):
    """A whole sweep file."""

    name: str
    """Results go to results/<name> unless told otherwise."""
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
    training: TrainingSpec
    save_masks: bool = False
    """Keep every trial's masks, eight weights a byte. Does not make a trial that is done run again."""

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

    @property
    def densities(self) -> list[Decimal]:
        """Canonical densities of the grid, in the order written."""
        unit = next(unit for unit in DENSITY_UNITS if getattr(self, unit) is not None)
        return list(dict.fromkeys(canonical_density(unit, value) for value in getattr(self, unit)))


assert DENSE_PRUNER not in PRUNERS, "the dense trial's pruner name must stay free"
