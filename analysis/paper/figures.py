"""The paper's figures by number, and how one is written beside the store that it is drawn from."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from analysis.paper.tables import Tables
from analysis.paper.verdict import Point, agreement
from analysis.paper.words import markdown
from analysis.report.write import DRAWN
from analysis.scan import scan
from orchestrator.store.layout import Store

FIGURES = ("1", "2", "3", "4", "5a", "5b", "6", "7")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: what it is drawn from, what of it has a number, and the drawing."""

    number: str
    tables: Callable[[Any], Tables]
    points: Callable[[Tables], list[Point]]
    plot: Callable[[Tables], Any]

    @classmethod
    def of(cls, number: str) -> Figure:
        """The figure of that number."""
        module = import_module(f"analysis.paper.figure{number}")
        return cls(number=number, tables=module.tables, points=module.points, plot=module.plot)


def write_figure(number: str, location: str, *, scale: str) -> tuple[pl.DataFrame, list[str]]:
    """Draw a figure from a store into it: PNG, SVG, its tables as CSV, the agreement as Parquet and Markdown too.

    Returns the agreement table and where everything went.
    """
    figure, place = Figure.of(number), Store(location)
    found = figure.tables(scan(location))
    judged = agreement(figure.points(found), scale=scale)
    name = f"figure{number}"
    chart = figure.plot(found).to_dict()
    paths = [_publish(place, draw(chart), "figures", f"{name}.{kind}") for kind, draw in DRAWN.items()]
    for table, rows in {**{f"{name}-{one}": rows for one, rows in found.items()}, f"{name}-agreement": judged}.items():
        paths.append(_publish(place, rows.write_csv().encode(), "tables", f"{table}.csv"))
    content = io.BytesIO()
    judged.write_parquet(content)
    for kind, written in (("parquet", content.getvalue()), ("md", markdown(judged).encode())):
        paths.append(_publish(place, written, "tables", f"{name}-agreement.{kind}"))
    return judged, paths


def _publish(place: Store, content: bytes, *parts: str) -> str:
    place.publish_bytes(content, *parts)
    return place.shown(Path(place.path(*parts)))
