"""The report as a notebook: every table and figure again, as code to go on from.

Plain JSON in the notebook format 4.5. The code reads the same store with the same functions as the report; it needs
prunesweep and no network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from analysis.report.collected import Collected
from analysis.report.panels import is_measured
from analysis.report.section import NOTHING, Figure, Section
from analysis.report.sections import SECTIONS

OPENING = """\
import polars as pl

{read}from analysis.report.collected import collect
from analysis.scan import scan

STORES = {stores}{published}
collected = collect({arguments})
tables, palette = collected.tables, collected.palette
print(collected.sweep, collected.counts)"""

OWN = """\
# `results` is a lazy frame of Polars: each point of the grid with its trial. Nothing is read before `collect`.
results = scan({arguments}).results
(
    results.filter(pl.col("outcome") == "completed")
    .group_by("dataset_label", "model_label", "curve", "density")
    .agg(pl.len().alias("n"), pl.col("final_test_accuracy").mean(), pl.col("collapsed_layers").max())
    .sort("dataset_label", "model_label", "curve", "density", descending=[False, False, False, True])
    .collect()
)"""


def notebook(collected: Collected, reference: str | None = None) -> str:
    """The notebook's text; `reference` is the file that the report was given to compare with."""
    cells = list(_cells(collected, reference))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _cells(collected: Collected, reference: str | None) -> Iterator[dict[str, Any]]:
    several = len(collected.stores) > 1
    yield _text(
        f"# {collected.sweep}\n\nThe report's tables and figures, to go on from. Accuracies, sparsities and densities "
        "are fractions; every mean stands beside its `n`. Run it with the Python that prunesweep is installed in."
    )
    arguments = ["*STORES", *(["published=PUBLISHED"] if reference else [])]
    if collected.select:
        arguments.append(f"select={collected.select!r}")
    read = "from analysis.reference import read\n" if reference else ""
    yield _code(
        OPENING.format(
            read=read,
            stores=list(collected.stores),
            published=f"\nPUBLISHED = read({reference!r})" if reference else "",
            arguments=", ".join(arguments),
        )
    )
    for section in SECTIONS:
        yield from _of_section(section, collected)
    yield _text("## Your own question\n\nThe columns are described in `docs/columns.md`.")
    yield _code(OWN.format(arguments="*STORES, apart=True" if several else "*STORES"))


def _of_section(section: Section, collected: Collected) -> Iterator[dict[str, Any]]:
    figures = [one for one in section.figures if is_measured(one, collected.tables.get(one.of, NOTHING))]
    names = dict.fromkeys(
        sheet.of for sheet in section.sheets if not collected.tables.get(sheet.of, NOTHING).is_empty()
    )
    if figures or names:
        yield _text(f"## {section.heading}\n\n{section.intro}")
    for figure in figures:
        yield _code(_drawing(figure))
    for name in names:
        yield _code(f"tables[{name!r}]")


def _drawing(figure: Figure) -> str:
    """Code that draws a figure with the function that the report draws it with."""
    module, function = figure.plot.__module__, figure.plot.__qualname__
    return f"from {module} import {function} as draw\n\ndraw(tables[{figure.of!r}], palette)"


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
