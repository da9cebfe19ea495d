"""Write segments: the finished trials of a few seconds, child tables first, `trials` last.

The `trials` row is the commit. A worker killed between the tables leaves child rows that no trial row points to, which
readers never see; a worker killed earlier leaves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import pyarrow as pa

from orchestrator.store.files import publish_rows
from orchestrator.store.layout import Store
from orchestrator.store.rows import Row
from orchestrator.store.schema import TABLES

COMMIT_ORDER = ("epochs", "layers", "rounds", "masks", "trials")


def write_segment(store: Store, name: str, attempts: Iterable[Mapping[str, list[Row]]]) -> None:
    """Publish the rows of some attempts under a segment name that nobody else uses."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for attempt in attempts:
        for table, new_rows in attempt.items():
            rows[table] += new_rows
    for table in COMMIT_ORDER:
        if rows[table]:
            publish_rows(store, pa.Table.from_pylist(rows[table], schema=TABLES[table]), table, name)
