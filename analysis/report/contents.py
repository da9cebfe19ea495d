"""What of each section stands on the page: everything that there is, within what a page has room for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.palette import Palette
from analysis.report.panels import Panel, panels_of
from analysis.report.section import MOST_ROWS, NOTHING, Figure, Grid, Property, Section, Tables
from analysis.report.sections import SECTIONS

MOST_GRIDS = 12
"""Tables of one section: a pivot has one a panel."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure's panels."""

    figure: Figure
    panels: list[Panel]
    num_left_out: int

    def first(self, most: int) -> Drawn:
        """The same with at most so many panels."""
        left_out = max(0, len(self.panels) - most)
        return replace(self, panels=self.panels[:most], num_left_out=self.num_left_out + left_out)


@dataclass(frozen=True, kw_only=True)
class Content:
    """A section with what is to be shown of it."""

    section: Section
    figures: list[Drawn]
    grids: list[Grid]
    num_grids_left_out: int = 0
    paragraphs: list[str]
    properties: list[Property]

    def trimmed(self, share: float) -> Content:
        """The same with at most that share of the panels, tables and rows that a page usually has room for."""
        most_grids, most_rows = max(1, round(share * MOST_GRIDS)), max(10, round(share * MOST_ROWS))
        return replace(
            self,
            figures=[one.first(max(1, round(share * len(one.panels)))) for one in self.figures],
            grids=[
                replace(
                    one, rows=one.rows[:most_rows], num_left_out=one.num_left_out + max(0, len(one.rows) - most_rows)
                )
                for one in self.grids[:most_grids]
            ],
            num_grids_left_out=max(0, len(self.grids) - most_grids),
        )


def contents_of(tables: Tables, palette: Palette) -> list[Content]:
    """The sections that have something to say."""
    return [content for section in SECTIONS if (content := _content(section, tables, palette))]


def _content(section: Section, tables: Tables, palette: Palette) -> Content | None:
    figures = []
    for figure in section.figures:
        panels, num_left_out = panels_of(figure, tables.get(figure.of, NOTHING), palette)
        if panels:
            figures.append(Drawn(figure=figure, panels=panels, num_left_out=num_left_out))
    content = Content(
        section=section,
        figures=figures,
        grids=[grid for sheet in section.sheets for grid in sheet.grids(tables, palette)],
        paragraphs=list(section.paragraphs(tables)),
        properties=list(section.properties(tables)),
    )
    return content if figures or content.grids or content.paragraphs or content.properties else None
