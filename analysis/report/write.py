"""Write a report: one HTML file that answers the sweep's questions and needs nothing else, not even a network.

Only aggregated rows enter the page, so it stays small however many trials there are. It is published like everything in
a store: whole or not at all. Beside it go, where asked for, `figures/`, `tables/` and `report.ipynb`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal

import polars as pl
import vl_convert

from analysis import reference
from analysis.report.collected import Collected, collect
from analysis.report.notebook import notebook
from analysis.report.page import html
from analysis.report.panels import is_measured
from analysis.report.section import NOTHING, VEGALITE, Figure
from analysis.report.sections import SECTIONS
from orchestrator.store.layout import Store

Kind = Literal["png", "svg", "csv", "notebook"]
DRAWN: dict[str, Callable[[dict[str, object]], bytes]] = {
    "png": lambda chart: vl_convert.vegalite_to_png(chart, vl_version=VEGALITE, scale=2),
    "svg": lambda chart: vl_convert.vegalite_to_svg(chart, vl_version=VEGALITE).encode(),
}


def write_report(
    *locations: str | Path,
    into: str | Path | None = None,
    also: Collection[Kind] = (),
    published: str | Path | None = None,
    select: str | None = None,
) -> list[Path]:
    """Write the report of a store, or of several side by side, and return the paths written, `report.html` first.

    It goes `into` a folder or address: the store itself, of several the folder `compared` in the first. `also` adds
    figures/<name>.png and .svg, tables/<name>.csv, or report.ipynb. `published` is a file of curves to compare with
    (`analysis.reference`), `select` an axis to choose on validation (`analysis.select`). In an object store the paths
    are keys of its filesystem. Raises ValueError where there are no results yet, where the file is not such a table,
    or where the axis cannot be chosen.
    """
    curves = None if published is None else reference.read(published)
    collected = collect(*locations, published=curves, select=select)
    return write(collected, into=into, also=also, published=published)


def write(
    collected: Collected,
    *,
    into: str | Path | None = None,
    also: Collection[Kind] = (),
    published: str | Path | None = None,
    reload_seconds: float = 0,
) -> list[Path]:
    """As `write_report`, of what was collected."""
    place = Store(into or default_place(*collected.stores))
    page = html(collected, reload_seconds=reload_seconds)
    return [_publish(place, page.encode(), "report.html"), *_write_also(place, collected, also, published)]


def default_place(*locations: str | Path) -> str:
    """Where a report goes if nothing else is said."""
    first = str(locations[0])
    return first if len(locations) == 1 else f"{first.rstrip('/')}/compared"


def _write_also(
    place: Store, collected: Collected, also: Collection[Kind], published: str | Path | None
) -> Iterator[Path]:
    for figure in _figures(collected):
        chart = figure.plot(collected.tables[figure.of], collected.palette).to_dict() if {*also} & {*DRAWN} else {}
        for kind, draw in DRAWN.items():
            if kind in also:
                yield _publish(place, draw(chart), "figures", f"{figure.anchor}.{kind}")
    if "csv" in also:
        for name, rows in collected.tables.items():
            if not rows.is_empty():
                yield _publish(place, _csv(rows), "tables", f"{name}.csv")
    if "notebook" in also:
        file = None if published is None else str(Path(published).absolute())
        yield _publish(place, notebook(collected, file).encode(), "report.ipynb")


def _figures(collected: Collected) -> list[Figure]:
    """The figures that have something to show."""
    return [
        figure
        for section in SECTIONS
        for figure in section.figures
        if is_measured(figure, collected.tables.get(figure.of, NOTHING))
    ]


def _csv(rows: pl.DataFrame) -> bytes:
    """Rows as CSV, lists in one cell."""
    lists = [name for name, kind in rows.schema.items() if isinstance(kind, pl.List)]
    joined = rows.with_columns(pl.col(name).cast(pl.List(pl.String)).list.join("; ") for name in lists)
    return joined.write_csv().encode()


def _publish(place: Store, content: bytes, *parts: str) -> Path:
    place.publish_bytes(content, *parts)
    return Path(place.path(*parts))
