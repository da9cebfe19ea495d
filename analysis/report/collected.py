"""The edge where the report's lazy tables become rows, all from one copy of the results in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from analysis import origins, reference, stability
from analysis import select as selection
from analysis.palette import Palette
from analysis.report.section import Tables
from analysis.report.sections import DERIVED, OF_ALL_TRIALS, OF_TRAINED, TABLES, TABLES_OF_SEVERAL
from analysis.scan import scan, sweep_names
from orchestrator.errors import BadInput


class NoResults(ValueError):
    """No trial of the grid has finished."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Everything that a report is made of."""

    stores: tuple[str, ...]
    sweep: str
    tables: Tables
    palette: Palette
    notices: tuple[str, ...] = ()
    """What must be known before anything is read."""
    select: str | None = None
    """The axis that was chosen on validation."""

    @property
    def counts(self) -> dict[str, int]:
        """The one row of `progress.table`."""
        return self.tables["progress"].row(0, named=True)


def collect(*locations: str | Path, published: pl.DataFrame | None = None, select: str | None = None) -> Collected:
    """Collect every table of the report of one store, or of several side by side; `published` as `reference.read`.

    `select` names an axis that is chosen on validation (`analysis.select`). Raises NoResults where there are no results
    yet, BadInput where the axis cannot be selected.
    """
    several = len(locations) > 1
    opened = scan(*locations, apart=several, hidden=selection.hidden(select)).gathered()
    versions = opened.results.select(pl.col("numerics_version").unique().drop_nulls().sort()).collect().to_series()
    if several or len(versions) > 1:
        opened = origins.told_apart(opened)
    lazy = {**TABLES, **(TABLES_OF_SEVERAL if several else {})}
    chosen = selection.selected(opened, select)
    special = dict.fromkeys(OF_ALL_TRIALS, opened)
    if not stability.applies(opened.results).collect().item():
        special |= dict.fromkeys(OF_TRAINED, replace(chosen, results=chosen.results.limit(0)))
    frames = [
        sweep_names(*locations),
        *(table(special.get(name, chosen)) for name, table in lazy.items()),
        selection.table(opened.results, select),
    ]
    if published is not None:
        frames.append(reference.curves(chosen.results))
    # in pieces, as child tables need not fit into memory, and one after the other: together they would take half a GB
    # more at a million trials, and no less time
    names, *collected = (frame.collect(engine="streaming") for frame in frames)
    tables = dict(zip((*lazy, "choices"), collected, strict=False))
    counts = tables["progress"].row(0, named=True)
    if counts["num_completed"] + counts["num_failed"] == 0:
        where = " and ".join(map(str, locations))
        raise NoResults(f"{where}: no results yet; run `prunesweep run SWEEP` first")
    if select:
        needed = selection.needs(opened.results, select).collect().row(0, named=True)
        if reason := selection.refusal(select, needed):
            raise BadInput(reason)
    if published is not None:
        of_both = (published, collected[-1], tables["accuracy"])
        tables["overlay"] = reference.overlay(*of_both)
        tables["reference"] = reference.table(*of_both)
        tables["unmatched"] = reference.unmatched(*of_both)
    for name, derive in DERIVED.items():
        tables[name] = derive(tables)
    return Collected(
        stores=opened.stores,
        sweep=" + ".join(names["sweep"]),
        tables=tables,
        palette=Palette.of(tables["accuracy"]["curve"]),
        notices=tuple(_notices(counts, versions.to_list(), select)),
        select=select,
    )


def _notices(counts: dict[str, int], versions: list[int], select: str | None) -> list[str]:
    notices = []
    if select:
        notices.append(
            f"Everything but costs and failures is of trials whose {select} was chosen by validation accuracy, for "
            "each curve and sparsity; the accuracies are on test images. What was chosen stands beside them."
        )
    if counts["num_missing"]:
        are = "is" if counts["num_missing"] == 1 else "are"
        notices.append(
            f"{counts['num_missing']:,} of {counts['num_trials']:,} trials {are} not in the store yet: everything "
            "below is of the others."
        )
    if len(versions) > 1:
        notices.append(
            f"Trials of numerics versions {', '.join(map(str, versions))} answer this grid. Equal configurations may "
            "differ between versions, so no curve mixes them: where one would, each version has a curve of its own."
        )
    return notices
