"""Ask a store in SQL: one reading statement over its tables, in Polars' dialect."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import polars as pl

from analysis.scan import Trials
from orchestrator.errors import BadInput

TABLES = ("trials", "epochs", "layers", "rounds", "masks", "points", "results")
"""What a statement can name: the tables of `Trials`, one row a trial however often it was attempted."""

READING = ("select", "with", "from")
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w*)", re.DOTALL)
_NO_TABLE = re.compile(r"relation '([^']+)' was not found")
_NO_COLUMN = re.compile(r"unable to find column \"([^\"]+)\"|no column named '([^']+)' found")


def query(store: Trials, statement: str) -> pl.LazyFrame:
    """What a statement selects, lazily. Raises BadInput for one that does not read or names what is not there.

    Mistakes that only show in rows, such as a text compared with a number, Polars raises on collecting; `problem` has
    the words for them.
    """
    first = _FIRST_WORD.match(statement)
    word = first[1] if first else ""
    if word.lower() not in READING:
        raise BadInput(f"a store is only read: expected one statement that begins with SELECT or WITH, got {word!r}")
    try:
        selected = pl.SQLContext({name: getattr(store, name) for name in TABLES}).execute(statement)
        selected.collect_schema()  # columns are looked up here
    except pl.exceptions.PolarsError as error:
        raise problem(store, error) from None
    return selected


def problem(store: Trials, error: pl.exceptions.PolarsError) -> BadInput:
    """What is wrong with a statement, the nearest name there is, and the names of the tables."""
    said = re.split(r"\n\s*\n|; valid columns", str(error).strip(), maxsplit=1)[0].removeprefix("PolarsError ")
    hint = ""
    if found := _NO_TABLE.search(said):
        hint = _nearest(found[1], TABLES)
    elif found := _NO_COLUMN.search(said):
        hint = _nearest(found[1] or found[2], {name for table in columns(store).values() for name in table})
    stop = "" if hint else "."
    return BadInput(f"{said}{hint}{stop} Tables: {', '.join(TABLES)}; --tables lists their columns")


def _nearest(wrong: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, sorted(names), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def columns(store: Trials) -> dict[str, dict[str, str]]:
    """The tables' columns with their types, in order."""
    return {
        table: {name: str(kind) for name, kind in getattr(store, table).collect_schema().items()} for table in TABLES
    }
