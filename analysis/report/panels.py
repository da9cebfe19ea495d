"""A figure on the page: one panel for each group of its rows, each a Vega-Lite specification that the page draws."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
from altair.utils.schemapi import debug_mode

from analysis.palette import Palette
from analysis.report.section import Figure

AXIS_PIXELS = 52
"""What an axis with its title adds to the height of a chart."""
MOST_PANELS = 12
"""Of one figure on the page: more would neither be looked at nor leave the page small."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart of the page."""

    anchor: str
    title: str
    note: str
    curves: tuple[str, ...]
    """Hidden with any of these: a panel about one pruner."""
    spec: dict[str, Any]
    height: int
    """In pixels, kept free until it is drawn; 0 where it is not known."""


def panels_of(figure: Figure, table: pl.DataFrame, palette: Palette) -> tuple[list[Panel], int]:
    """The panels of a figure in the order of its table, at most `MOST_PANELS`, and how many are left out."""
    if not is_measured(figure, table):
        return [], 0
    groups = table.partition_by(figure.by, as_dict=True, maintain_order=True) if figure.by else {(): table}
    shown = {key: rows for key, rows in groups.items() if is_measured(figure, rows)}
    panels = []
    for number, (key, rows) in enumerate(list(shown.items())[:MOST_PANELS]):
        with debug_mode(False):  # Altair checks each part against its schema: half of the time, and no part is a user's
            spec = slim(_toggled(figure.panel(rows, palette).to_dict(validate=False)))
        height = spec.get("height")
        panel = Panel(
            anchor=f"{figure.anchor}-{number}",
            title=title(figure.by, key),
            note=figure.note(rows),
            curves=tuple(value for name, value in zip(figure.by, key, strict=True) if name in ("curve", "other_curve")),
            spec=spec,
            height=height + AXIS_PIXELS if isinstance(height, int) else 0,
        )
        panels.append(panel)
    return panels, len(shown) - len(panels)


def is_measured(figure: Figure, rows: pl.DataFrame) -> bool:
    """Whether there is anything to draw."""
    return not rows.is_empty() and (figure.measured is None or rows[figure.measured].sum() > 0)


def title(by: tuple[str, ...], key: tuple[Any, ...]) -> str:
    """A panel's labels in one line: "mlp on digits, 20 epochs"."""
    labels = dict(zip(by, key, strict=True))
    model, dataset = labels.pop("model_label", ""), labels.pop("dataset_label", "")
    named = f"{model} on {dataset}" if model and dataset else model or dataset
    return ", ".join(str(part) for part in (named, *labels.values()) if part not in ("", None))


def _toggled(spec: dict[str, Any]) -> dict[str, Any]:
    """A chart that leaves out the curves named by the parameter `hidden`, which the page's keys set.

    On the finished specification: each method of an Altair chart copies all of its data.
    """
    is_shown = "indexof(hidden, datum.curve) < 0 && indexof(hidden, datum.other_curve) < 0"
    params = [one for one in spec.get("params", []) if one["name"] not in ("hidden", "paper")]
    return spec | {
        "transform": [{"filter": is_shown}, *spec.get("transform", [])],
        "params": [*params, {"name": "hidden", "value": []}, {"name": "paper", "value": "white"}],
    }


def slim(spec: dict[str, Any]) -> dict[str, Any]:
    """The same chart with less to carry: of its rows (`inline_data.inline`) only the fields that it names."""
    parts = list(_parts(spec))
    places = [(part, "values") for part in parts if isinstance(part.get("values"), str)]
    for gathered in (part["datasets"] for part in parts if "datasets" in part):
        places += [(gathered, name) for name, rows in gathered.items() if isinstance(rows, str)]
    formats = [part for part in parts if "parse" in part]
    tables, kinds = [holder.pop(name) for holder, name in places], [part.pop("parse") for part in formats]
    text = json.dumps(spec)
    # a field whose name is put together when it is drawn may be any
    named = None if "datum[" in text else set(re.findall(r"\w+", text))
    for (holder, place), csv in zip(places, tables, strict=True):
        fields = csv.partition("\n")[0].split(",")
        kept = [number for number, field in enumerate(fields) if named is None or field in named]
        is_whole = len(kept) == len(fields)
        holder[place] = csv if is_whole else pl.read_csv(csv.encode(), columns=kept, infer_schema=False).write_csv()
    for part, kind in zip(formats, kinds, strict=True):
        part["parse"] = {field: how for field, how in kind.items() if named is None or field in named}
    return spec


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Every object of a specification."""
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _parts(inner)
