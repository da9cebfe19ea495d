"""Write a store's report: one HTML file that answers the sweep's questions and needs nothing else, not even a network.

Only aggregated rows enter the page, so it stays small however many trials there are. It is published like everything in
a store: whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

import vl_convert

from analysis.report.collected import Collected, collect
from analysis.report.page import html
from analysis.report.panels import is_measured
from analysis.report.section import VEGALITE, Figure
from analysis.report.sections import SECTIONS
from orchestrator.store.layout import Store


def write_report(location: str | Path, *, png: bool = False) -> list[Path]:
    """Write `report.html` into the store, with `png` also `figures/<name>.png`; return the paths written.

    In an object store the paths are keys of its filesystem. Raises ValueError where there are no results yet.
    """
    store = Store(location)
    collected = collect(location)
    store.publish_text(html(collected), "report.html")
    written = [Path(store.path("report.html"))]
    if png:
        written += [_png(store, collected, figure) for figure in _figures(collected)]
    return written


def _figures(collected: Collected) -> list[Figure]:
    """The figures that have something to show."""
    return [
        figure for section in SECTIONS for figure in section.figures if is_measured(figure, collected.tables[figure.of])
    ]


def _png(store: Store, collected: Collected, figure: Figure) -> Path:
    chart = figure.plot(collected.tables[figure.of], collected.palette)
    image = vl_convert.vegalite_to_png(chart.to_dict(), vl_version=VEGALITE, scale=2)
    store.publish_bytes(image, "figures", f"{figure.anchor}.png")
    return Path(store.path("figures", f"{figure.anchor}.png"))
