"""Accuracies as a paper prints them: a row a sparsity, a column a curve, mean ± half of the interval in a cell."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analysis.accuracy import panel_title
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.report.formats import percent, ratio
from analysis.report.section import Cell, Grid, Heading, Row, Tables
from analysis.sparsity import sparsity_texts


@dataclass(frozen=True, kw_only=True)
class Pivot:
    """A grid for each panel of a collected `accuracy.table`."""

    of: str

    def grids(self, tables: Tables, palette: Palette) -> list[Grid]:
        """The panels' grids, in the order of the table."""
        panels = tables[self.of].partition_by(PANEL, as_dict=True, maintain_order=True)
        return [_grid(panel_title(key), rows, palette) for key, rows in panels.items() if rows["n"].sum() > 0]


def _grid(title: str, rows: pl.DataFrame, palette: Palette) -> Grid:
    densities = sorted(set(rows["density"]), reverse=True)
    texts = sparsity_texts(densities)
    present = set(rows["curve"])
    curves = [curve for curve in palette.curves if curve in present]
    cells = {(row["density"], row["curve"]): row for row in rows.iter_rows(named=True)}
    return Grid(
        title=title,
        headings=[
            Heading(text="sparsity", is_text=False),
            Heading(text="ratio", is_text=False),
            *(Heading(text=curve, is_text=False, curves=(curve,)) for curve in curves),
        ],
        rows=[
            (
                (),
                [
                    Cell(text=texts[density], value=1 - density),
                    Cell(text="", soft=ratio(1 / density), value=1 / density),
                    *(_cell(curve, cells.get((density, curve))) for curve in curves),
                ],
            )
            for density in densities
        ],
    )


def _cell(curve: str, row: Row | None) -> Cell:
    if row is None:
        return Cell(text="", curves=(curve,))
    absent = [f"{row[f'num_{name}']} {name}" for name in ("diverged", "failed", "missing") if row[f"num_{name}"]]
    collapsed = row["num_collapsed"] > 0
    interval = row["interval_high"]
    return Cell(
        text=percent(row["mean_accuracy"]),
        value=row["mean_accuracy"],
        mark="○" if collapsed else "",
        title=f"{row['num_collapsed']} of {row['n']} collapsed" if collapsed else "",
        soft="" if interval is None else f"±\u202f{percent(interval - row['mean_accuracy'])}",
        detail=", ".join([f"n={row['n']}", *([row["chosen"]] if row.get("chosen") else []), *absent]),
        curves=(curve,),
    )
