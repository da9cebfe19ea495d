"""What one section of the report is made of: figures with their panels, tables of numbers, paragraphs, properties.

A section says what it shows; how that is put on a page, into a PNG or into a CSV is the business of the files beside
this one. Everything here works on collected tables, which are small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import altair as alt
import polars as pl

from analysis.palette import Palette
from analysis.report.formats import as_text
from analysis.scan import Trials

VEGALITE = "6.4"
"""The Vega-Lite that altair writes and vl_convert draws."""

Row = Mapping[str, Any]
Table = Callable[[Trials], pl.LazyFrame]
Tables = Mapping[str, pl.DataFrame]
"""Collected tables by name. One that is not there is empty: some are only of several stores, or of a reference."""
NOTHING = pl.DataFrame()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Charts of one table: on the page a panel for each group of rows, in a file all of them together."""

    of: str
    """The table it is drawn from."""
    by: tuple[str, ...] = ("dataset_label", "model_label")
    """Columns whose values name a panel: data set and model first, if they are among them."""
    panel: Callable[[pl.DataFrame, Palette], alt.Chart | alt.LayerChart]
    """One panel from its rows, `width="container"`. Rows with `curve` (and `other_curve`) follow the pruner toggle; the
    parameter `paper` is the colour behind the marks."""
    plot: Callable[[pl.DataFrame, Palette], alt.TopLevelMixin]
    """The whole figure from the table, for a paper: it must need nothing of the page."""
    name: str = ""
    """Of its file and of its panels' anchors; the table's if empty."""
    heading: str = ""
    """Above its panels, where a section has several figures."""
    note: Callable[[pl.DataFrame], str] = lambda rows: ""
    """Beside a panel's title, from its rows."""
    measured: str | None = "n"
    """A panel without a row in which this column is positive is left out; None draws every panel."""

    @property
    def anchor(self) -> str:
        """The name of its file."""
        return self.name or self.of


@dataclass(frozen=True)
class Column:
    """A column of a sheet. Numbers are set to the right, and sorted and copied as they are, not as they are shown."""

    name: str
    """In the table."""
    heading: str
    format: Callable[[Any], str] = as_text
    """Its values as text (`analysis.report.formats`)."""
    detail: Callable[[Row], str] | None = None
    """What stands small below the value, from the whole row."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell, ready to be shown."""

    text: str
    value: Any = None
    """A number, or None where the text is the value."""
    mark: str = ""
    soft: str = ""
    """Behind the text, paler."""
    detail: str = ""
    """Below the text, smaller."""
    title: str = ""
    """Shown on hovering."""
    curves: tuple[str, ...] = ()
    """Hidden with any of these, as a column of a pivot is."""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The head of a column."""

    text: str
    is_text: bool
    curves: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table as it stands on the page."""

    title: str
    headings: list[Heading]
    rows: list[tuple[tuple[str, ...], list[Cell]]]
    """The curves that a row is hidden with, and its cells."""
    num_left_out: int = 0
    """Rows that are only in the CSV."""


class HasGrids(Protocol):
    """What can be shown as tables of numbers: a `Sheet`, a `Pivot`."""

    @property
    def of(self) -> str:
        """The table it shows."""

    def grids(self, tables: Tables, palette: Palette) -> list[Grid]:
        """The tables as they stand on the page, none if there is nothing to show."""


MOST_ROWS = 250
"""Of a sheet on the page: nobody reads more, and the CSV has them all."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The rows of a table as they are, with chosen columns. The first column names the row."""

    of: str
    columns: tuple[Column, ...]
    title: str = ""
    measured: str | None = None
    """A table without a row in which this column is positive is left out."""

    def grids(self, tables: Tables, palette: Palette) -> list[Grid]:
        """One grid, none for an empty table."""
        rows = tables.get(self.of, NOTHING)
        if rows.is_empty() or (self.measured and not rows[self.measured].sum() > 0):
            return []
        schema = rows.schema
        return [
            Grid(
                title=self.title,
                headings=[Heading(text=one.heading, is_text=not schema[one.name].is_numeric()) for one in self.columns],
                rows=[
                    (curves_of(row), [_cell(row, column) for column in self.columns])
                    for row in rows.head(MOST_ROWS).iter_rows(named=True)
                ],
                num_left_out=max(0, rows.height - MOST_ROWS),
            )
        ]


def curves_of(row: Row) -> tuple[str, ...]:
    """The curves that a row belongs to."""
    return tuple(row[name] for name in ("curve", "other_curve") if isinstance(row.get(name), str))


def _cell(row: Row, column: Column) -> Cell:
    value = row[column.name]
    return Cell(
        text=column.format(value),
        value=value if isinstance(value, int | float) and not isinstance(value, bool) else None,
        detail=column.detail(row) if column.detail else "",
    )


@dataclass(frozen=True, kw_only=True)
class Property:
    """A name with its values, as in a list of settings."""

    name: str
    values: list[str]
    num_values: int
    folded: bool = False
    """Shown only on request: it says nothing that a reader of this sweep would look for."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One question and its answer. What is empty is left out, and a section whose every part is empty altogether."""

    name: str
    """Its anchor."""
    heading: str
    intro: str
    """One sentence that says how to read it."""
    figures: tuple[Figure, ...] = ()
    sheets: tuple[HasGrids, ...] = ()
    paragraphs: Callable[[Tables], Iterable[str]] = lambda tables: ()
    properties: Callable[[Tables], Iterable[Property]] = lambda tables: ()
    note: str = ""
    """In small print below."""
