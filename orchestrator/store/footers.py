"""What the files of a table say of themselves, without their rows: are its columns there, and which hold one value?

A Parquet file ends with its schema and each column's smallest and largest value. Reading that costs a fraction of a
millisecond a file on a disk and two requests in a bucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.store.layout import Store
from orchestrator.store.merges import live_files
from orchestrator.store.schema import AS_BEFORE, REQUIRED, TABLES

READERS = 16
"""Files whose footers are read at a time, of which most only wait for a bucket's answer."""
_VARYING = object()


def schema_faults(store: Store, table: str, *, most_files: int | None = None) -> list[str]:
    """A sentence for each file of a table that cannot be read as one, naming file and column.

    Columns of `REQUIRED` must be there, and those that are there must have the type of the schema. With `most_files`
    only so many files are looked at, spread over all. A file that is no Parquet file is left to `read.damaged_files`.
    """
    names = live_files(store, table).names
    if most_files is not None and len(names) > most_files:
        names = [names[index * (len(names) - 1) // (most_files - 1)] for index in range(most_files)]
    return [
        f"{store.shown(store.path(table, name))}: {fault}"
        for name, footer in zip(names, _footers(store, table, names), strict=True)
        if footer is not None
        for fault in faults(table, footer.schema.to_arrow_schema())
    ]


def faults(table: str, found: pa.Schema) -> Iterator[str]:
    """What is wrong with the columns of a file of a table, each as the end of a sentence about the file."""
    expected = TABLES[table]
    for name in REQUIRED[table]:
        if name not in found.names:
            yield f"has no column {name!r}, which every version of {table!r} has had; it is not a file of this table"
    for field in found:
        if field.name in expected.names and not _reads_as(field.type, expected.field(field.name).type):
            yield (
                f"column {field.name!r} is {field.type}, expected {expected.field(field.name).type}; "
                "was it written by another tool?"
            )


def _reads_as(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_string(expected):
        return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    if pa.types.is_list(expected):
        return pa.types.is_list(found) or pa.types.is_large_list(found)
    return bool(found == expected)


def constant_columns(store: Store, table: str) -> dict[str, Any]:
    """Columns that have one value in all rows of all files, and that value; None for one that is null throughout.

    Where a file has no value, `AS_BEFORE` holds. A column whose footers do not say so is not among them. Floats must
    not be NaN, which footers pass over: those of a configuration never are.
    """
    values: dict[str, set[Any]] = {name: set() for name in TABLES[table].names}
    for footer in _footers(store, table, live_files(store, table).names):
        if footer is None:
            return {}
        for name, seen in values.items():
            value = _value(footer, name)
            seen.add(AS_BEFORE.get(name) if value is None else value)
    return {name: seen.pop() for name, seen in values.items() if len(seen) == 1 and _VARYING not in seen}


def _value(footer: pq.FileMetaData, name: str) -> Any:
    """The one value of a file's column: None where it is null or missing, `_VARYING` where there are more."""
    places = [index for index in range(footer.num_columns) if footer.schema.column(index).path == name]
    values: set[Any] = set() if places else {None}
    for place in places:
        for group in range(footer.num_row_groups):
            chunk = footer.row_group(group).column(place)
            values.add(_value_of_chunk(chunk.statistics, footer.row_group(group).num_rows))
    return values.pop() if len(values) == 1 else _VARYING


def _value_of_chunk(statistics: Any, num_rows: int) -> Any:
    if statistics is None or statistics.null_count is None:
        return _VARYING
    if statistics.null_count == num_rows:
        return None
    if statistics.null_count or not statistics.has_min_max or statistics.min != statistics.max:
        return _VARYING
    return statistics.max  # of zeros a footer says -0.0 to 0.0


def _footers(store: Store, table: str, names: list[str]) -> list[pq.FileMetaData | None]:
    """The footer of each file; None where it cannot be read."""

    def footer(name: str) -> pq.FileMetaData | None:
        try:
            return pq.read_metadata(store.path(table, name), filesystem=store.filesystem)
        except (OSError, pa.ArrowException):
            return None

    if not store.is_remote:  # nothing to wait for, and threads that are still there delay the end of a command
        return [footer(name) for name in names]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(footer, names))
