"""The edge where the report's lazy tables become rows, all from one copy of the results in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analysis.palette import Palette
from analysis.report.section import Tables
from analysis.report.sections import DERIVED, TABLES
from analysis.scan import scan, sweep_names


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Everything that a report is made of."""

    sweep: str
    tables: Tables
    palette: Palette

    @property
    def counts(self) -> dict[str, int]:
        """The one row of `progress.table`."""
        return self.tables["progress"].row(0, named=True)


def collect(location: str | Path) -> Collected:
    """Collect every table of the report. Raises ValueError where there are no results yet."""
    store = scan(location).gathered()
    # one after the other, in pieces: together they would take half a GB more at a million trials, and no less time
    tables = {name: table(store).collect(engine="streaming") for name, table in TABLES.items()}
    names = sweep_names(location).collect()
    counts = tables["progress"].row(0, named=True)
    if counts["num_completed"] + counts["num_failed"] == 0:
        raise ValueError(f"{location} holds no results yet; run `prunesweep run SWEEP` first")
    for name, derive in DERIVED.items():
        tables[name] = derive(tables)
    return Collected(sweep=" + ".join(names["sweep"]), tables=tables, palette=Palette.of(tables["accuracy"]["curve"]))
