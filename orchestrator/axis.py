"""What one key of a sweep file may hold: strict values, of which a list or a range makes an axis."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from orchestrator.errors import did_you_mean

RANGE_KEYS = {"start", "stop", "step"}
LARGEST_AXIS = 1_000_000


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


class Strict(BaseModel):
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
