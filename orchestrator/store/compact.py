"""Merge the segments of a store into few files that hold each result once.

Only the attempts that count are kept: more rows may replace a trial's winner, but never bring back an attempt that has
lost, so nothing that a reader could ever see is dropped. What a merge replaces stays for late readers and is removed
afterwards. Nothing is locked: who compacts at the same time, writes or is killed costs disk space for a while and
nothing else (`merges.py` says why).

Memory is bounded by sorting in ranges of trial ids: rows are read once, a buffer at a time, split by range into files
on the local disk, and each range becomes one file of the store, sorted by trial id.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow as pa

from orchestrator.errors import BadInput
from orchestrator.store.disagreements import disagreements
from orchestrator.store.files import publish_rows, read_whole, segment_of
from orchestrator.store.layout import Store
from orchestrator.store.merges import (
    ATTEMPT,
    KEYS,
    MERGED,
    LiveFiles,
    Merge,
    identity_of,
    live_among,
    live_files,
    read_records,
)
from orchestrator.store.read import rows_in, scan_table, winners
from orchestrator.store.schema import TABLES
from orchestrator.store.write import COMMIT_ORDER

GRACE_SECONDS = 3600.0
"""For which replaced files stay: readers open files when they collect, which may be long after they listed them."""
ABANDONED_SECONDS = 86400.0
"""After which files of a merge that nobody published are taken for those of a compactor that was killed."""
BYTES_PER_FILE = 64 * 2**20
"""Of what is read, compressed: in small files the same rows take more."""
BUFFER_BYTES = 64 * 2**20
"""Of rows in memory before they are split by range, which takes as much twice more."""
ROWS_PER_GROUP = 2**16
READERS = 16
"""Files of an object store that are fetched at a time."""


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """What compacting a store did."""

    files_before: int
    """That readers opened."""
    files_after: int
    files_replaced: int
    """That still lie there, for late readers."""
    disagreeing: int
    """Attempts that contradict another of their trial and class; copies are put aside."""


def num_files(store: Store) -> int:
    """Files that a reader of every table opens."""
    return sum(len(live_files(store, table).names) for table in KEYS)


def compact(store: Store, *, grace_seconds: float = GRACE_SECONDS, bytes_per_file: int = BYTES_PER_FILE) -> Compacted:
    """Merge what there is to merge, and remove what earlier merges replaced long enough ago.

    Raises BadInput for a damaged file, of which nothing is merged. An error leaves the store as readers see it.
    """
    # `trials` first: the segments committed in it have all their other files by the time these are listed
    committed = live_files(store, "trials").committed
    live = {table: _within(live_files(store, table), committed) for table in COMMIT_ORDER}
    disagreeing = 0
    if any(map(_is_to_merge, live.values())):
        keys = scan_table(store, "trials").select(*ATTEMPT, "attempt", "status")
        winning = winners(keys).select(ATTEMPT).collect()
        disagreeing = _put_aside_disagreements(store)
        for table in COMMIT_ORDER:
            if _is_to_merge(live[table]):
                _merge(store, table, live[table], winning, bytes_per_file)
    left = remove_replaced(store, grace_seconds=grace_seconds)
    return Compacted(
        files_before=sum(len(one.names) for one in live.values()),
        files_after=num_files(store),
        files_replaced=left,
        disagreeing=disagreeing,
    )


def remove_replaced(
    store: Store, *, grace_seconds: float = GRACE_SECONDS, abandoned_seconds: float = ABANDONED_SECONDS
) -> int:
    """Delete the files that a merge replaced so long ago, and what killed compactors left; return how many stay."""
    now = time.time()
    ages = {info.base_name: now - info.mtime.timestamp() for info in store.entries("merges")}
    left = 0
    for table in KEYS:
        records, names = read_records(store, table), set(store.files(table))
        live = live_among(records, names)
        settled = [one for one in records.merges if ages.get(one.record, 0.0) >= grace_seconds]
        earlier = live_among(replace(records, merges=settled), names)  # what readers listed before the others came
        replaced = frozenset[str]().union(*(one.segments.union(one.files) for one in settled))
        unneeded = (names & replaced).difference(live.names, earlier.names)
        published = {one.identity for one in records.merges}
        announced = [Merge.announced(table, identity) for identity in sorted(records.announced)]
        over = [
            one
            for one in announced
            if one.identity in published or ages.get(one.announcement, 0.0) >= abandoned_seconds
        ]
        killed = {one.identity for one in over} - published
        unneeded |= {name for name in names if identity_of(name) in killed}
        for name in sorted(unneeded):
            store.remove(table, name)
        names -= unneeded
        for one in records.merges:
            if one not in live.merges and not names.intersection(one.files):
                store.remove("merges", one.record)
        for one in over:
            one.withdraw(store)
        left += len(names.difference(live.names))
    return left


def withdraw(store: Store, live: LiveFiles, attempts: pl.DataFrame) -> None:
    """Write `trials` anew without some attempts, which then never were; `live` are the files to read."""
    keys = rows_in(store, "trials", live).select(*ATTEMPT, "attempt", "status")
    kept = winners(keys.join(attempts.lazy(), on=ATTEMPT, how="anti")).select(ATTEMPT).collect()
    _merge(store, "trials", live, kept, BYTES_PER_FILE)


def _within(live: LiveFiles, committed: frozenset[str]) -> LiveFiles:
    """Without segments whose `trials` rows are not there: their worker is about to commit them, or was killed."""
    names = {segment_of(name) for name in committed}
    segments = [name for name in live.segments if segment_of(name) in names or identity_of(name)]
    return replace(live, segments=segments)


def _is_to_merge(live: LiveFiles) -> bool:
    return bool(live.segments) or len(live.merges) > 1 or live.may_repeat


def _merge(store: Store, table: str, live: LiveFiles, winning: pl.DataFrame, bytes_per_file: int) -> None:
    """Write the rows of a table's winning attempts anew, and publish that they stand for all that was read."""
    merge = Merge.announced(table, uuid.uuid4().hex)
    sizes = {info.base_name: info.size for info in store.entries(table)}
    num_ranges = -(-sum(sizes.get(name, 0) for name in live.names) // bytes_per_file)
    files: list[str] = []
    merge.announce(store)
    try:
        with tempfile.TemporaryDirectory(prefix="prunesweep-") as scratch:
            ranges = _Ranges(_bounds(winning["trial_id"], num_ranges), Path(scratch))
            for rows in _buffers(store, table, live):
                ranges.add(rows.join(winning, on=ATTEMPT, how="semi"))
            for rows in ranges.sorted_by(KEYS[table]):
                name = f"{MERGED}{merge.identity}-{len(files):03d}"
                content = _as_stored(table, rows)
                files.append(publish_rows(store, content, table, name, rows_per_group=ROWS_PER_GROUP))
        read = live.committed.union(live.merged)  # the files too: so it stands for a merge of the same segments
        merge = replace(merge, files=tuple(files), segments=read)
    except BaseException:
        for name in files:
            store.remove(table, name)
        merge.withdraw(store)
        raise
    merge.publish(store)


def _bounds(ids: pl.Series, num_ranges: int) -> pl.Series:
    """The trial ids at which all but the first range begin."""
    ordered = ids.sort()
    return ordered.gather([len(ordered) * number // num_ranges for number in range(1, num_ranges)] if len(ids) else [])


class _Ranges:
    """Rows split by range of their trial id: on disk, where there are several ranges."""

    def __init__(self, bounds: pl.Series, folder: Path) -> None:
        self._bounds, self._folder = bounds, folder
        self._in_memory: list[pl.DataFrame] = []
        self._num_spilled = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Take some rows."""
        if self._bounds.is_empty():
            self._in_memory.append(rows)
            return
        numbers = self._bounds.search_sorted(rows["trial_id"], side="right")
        for (number,), part in rows.with_columns(range=numbers).partition_by("range", as_dict=True).items():
            part.drop("range").write_ipc(self._folder / f"{number}-{self._num_spilled}.arrow")
            self._num_spilled += 1

    def sorted_by(self, key: Sequence[str]) -> Iterator[pl.DataFrame]:
        """The rows of each range that has any, sorted, each row once."""
        for number in range(len(self._bounds) + 1):
            spilled = list(self._folder.glob(f"{number}-*.arrow"))
            frames = [pl.read_ipc(path) for path in spilled] or self._in_memory
            if frames:
                yield from _sorted(frames, key)  # which takes them, so that they are not kept beside their sorted copy
            for path in spilled:
                path.unlink()


def _sorted(frames: list[pl.DataFrame], key: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The rows of some frames as one, sorted, each row once; the list is emptied."""
    rows = pl.concat(frames, how="diagonal_relaxed")
    frames.clear()
    rows = rows.sort(key)
    if _repeats(rows, key):
        rows = rows.unique(key, keep="first", maintain_order=True)
    if rows.height:
        yield rows


def _repeats(rows: pl.DataFrame, key: Sequence[str]) -> bool:
    """Whether sorted rows have neighbours of one key."""
    return bool(
        rows.select(pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in key).any()).item()
    )


def _buffers(store: Store, table: str, live: LiveFiles) -> Iterator[pl.DataFrame]:
    """All rows of some files, about `BUFFER_BYTES` at a time."""
    batches: list[pl.DataFrame] = []
    num_bytes = 0
    for batch in _batches(store, table, live):
        batches.append(batch)
        num_bytes += int(batch.estimated_size())
        if num_bytes > BUFFER_BYTES:
            yield pl.concat(batches, how="diagonal_relaxed")
            batches, num_bytes = [], 0
    if batches:
        yield pl.concat(batches, how="diagonal_relaxed")


def _batches(store: Store, table: str, live: LiveFiles) -> Iterator[pl.DataFrame]:
    """The rows of some files, piece by piece. Segments are small: several are fetched at a time."""
    starts = range(0, len(live.segments), READERS)
    groups = [[name] for name in live.merged] + [live.segments[start : start + READERS] for start in starts]
    with ThreadPoolExecutor(READERS if store.is_remote else 1) as pool:
        for group in groups:
            contents = pool.map(lambda name: store.read_bytes(table, name), group)
            for name, content in zip(group, contents, strict=True):
                try:
                    for batch in read_whole(content, name).iter_batches(ROWS_PER_GROUP, use_threads=False):
                        yield pl.DataFrame(pa.Table.from_batches([batch]))
                except (OSError, ValueError) as error:  # pyarrow's errors are one or the other
                    raise BadInput(
                        f"{store.shown(store.path(table, name))} is damaged, so nothing was merged: {error}. "
                        f"`prunesweep doctor DIR --repair` puts it aside"
                    ) from None


def _as_stored(table: str, rows: pl.DataFrame) -> pa.Table:
    """Rows with the columns of the table, in its order and types, and those that a newer version of prunesweep has."""
    content = rows.to_arrow()
    known = [field for field in TABLES[table] if field.name in rows.columns]
    newer = [field for field in content.schema if field.name not in TABLES[table].names]
    schema = pa.schema(known + newer)
    return content.select(schema.names).cast(schema)


def _put_aside_disagreements(store: Store) -> int:
    """Keep what merging drops of trials that were measured twice and differently. Returns the number of attempts."""
    found = disagreements(scan_table(store, "trials"))
    if found.height:
        digest = hashlib.blake2b("".join(found["attempt_id"]).encode(), digest_size=6).hexdigest()
        store.publish_table(_as_stored("trials", found), "quarantine", f"disagreeing-{digest}.parquet")
    return found.height
