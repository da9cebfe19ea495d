"""A figure on the page: one panel for each group of its rows, each a Vega-Lite specification that the page draws."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from analysis.accuracy import paper
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
        spec = slim(_toggled(figure.panel(rows, palette)).to_dict())
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


def _toggled(chart: alt.Chart | alt.LayerChart) -> alt.Chart | alt.LayerChart:
    """A chart that leaves out the curves named by the parameter `hidden`, which the page's keys set."""
    shown: alt.Chart | alt.LayerChart = chart.transform_filter(
        "indexof(hidden, datum.curve) < 0 && indexof(hidden, datum.other_curve) < 0"
    ).add_params(alt.param(name="hidden", value=[]), paper())
    return shown


def slim(spec: dict[str, Any]) -> dict[str, Any]:
    """The same chart with less to carry: of its rows only the fields it names, of numbers six digits, names once.

    An accuracy is a ratio of thousands of images, and a mark is placed to a tenth of a pixel: six digits are more than
    either. The page's script makes {"names": [...], "rows": [[...]]} the objects that Vega-Lite expects.
    """
    places = list(_rows(spec))
    rows = [holder.pop(name) for holder, name in places]
    named = set(re.findall(r"\w+", json.dumps(spec)))
    for (holder, place), values in zip(places, rows, strict=True):
        names = [name for name in dict.fromkeys(name for row in values for name in row) if name in named]
        holder[place] = {"names": names, "rows": [[_rounded(row.get(name)) for name in names] for row in values]}
    return spec


def _rows(part: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every object that holds rows of data, and under which name; Altair gathers them in "datasets" or leaves them."""
    if isinstance(part, list):
        for inner in part:
            yield from _rows(inner)
    elif isinstance(part, dict):
        for name, inner in part.items():
            if name == "datasets":
                yield from ((inner, dataset) for dataset, values in inner.items() if _is_rows(values))
            elif name == "values" and _is_rows(inner):
                yield part, name
            else:
                yield from _rows(inner)


def _is_rows(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(row, dict) for row in values)


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None  # JSON has no NaN: such a mark is not drawn
