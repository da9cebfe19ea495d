"""Which files of a table count, once `compact` has merged segments into few files.

A merge is a record under `merges/`: the files that its rows are in, and the segments that these stand for. Publishing
it is the one step that puts the new files in the place of the old ones: before it readers pass over the new files,
after it over the old ones, which stay for a while because readers open files later than they list them. What counts is
a function of the records and the listing alone, so any number of compactors may work at once and be killed anywhere:

- a segment counts unless a merge whose files are all there stands for it;
- a merge counts unless another that is whole stands for the same segments and more (or the same, with a smaller id);
- a file of a merge that is announced and not published does not count; one of which no record is left counts as a
  segment: a copy of the tables alone, without `merges/`, is whole;
- where a row may be in several files that count, rows are told apart by their key.

A record names every segment that went into it, through however many merges, and forever: also one that is published
late, by a compactor that slept, is recognised as a repetition.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.errors import BadInput
from orchestrator.store.layout import Store

MERGED = "merged-"
"""Begins the names of files that no worker wrote: merged-<id>-<number>.parquet."""
RECORD, ANNOUNCED = ".json", ".begun"
"""End the names of records and of announcements: <table>-<id>.json."""

ATTEMPT = ("trial_id", "attempt_id")
KEYS = {
    "trials": ATTEMPT,
    "epochs": (*ATTEMPT, "level", "epoch"),
    "layers": (*ATTEMPT, "position", "layer"),
    "rounds": (*ATTEMPT, "round"),
    "masks": (*ATTEMPT, "position", "layer"),
}
"""What tells the rows of a table apart; also the tables that are merged."""


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Some files of a table, and the segments they stand for."""

    identity: str
    table: str
    files: tuple[str, ...]
    segments: frozenset[str]
    """File names."""

    @classmethod
    def announced(cls, table: str, identity: str) -> Merge:
        """A merge of which nothing is known yet."""
        return cls(identity=identity, table=table, files=(), segments=frozenset())

    def announce(self, store: Store) -> None:
        """Say that files of this merge are being written."""
        store.publish_text("", "merges", self.announcement)

    def publish(self, store: Store) -> None:
        """Put the files in the place of the segments."""
        content = {"files": list(self.files), "segments": sorted(self.segments)}
        store.publish_text(json.dumps(content, indent=0), "merges", self.record)
        self.withdraw(store)

    def withdraw(self, store: Store) -> None:
        """Take the announcement back."""
        store.remove("merges", self.announcement)

    @property
    def record(self) -> str:
        """The file that says so, in `merges/`."""
        return f"{self.table}-{self.identity}{RECORD}"

    @property
    def announcement(self) -> str:
        """The file that says that it is being written."""
        return f"{self.table}-{self.identity}{ANNOUNCED}"

    def stands_for(self, other: Merge) -> bool:
        """Whether everything in `other` is here as well."""
        if self.segments == other.segments:
            return self.identity < other.identity
        return self.segments > other.segments


@dataclass(frozen=True, kw_only=True)
class LiveFiles:
    """The files of a table that count."""

    segments: list[str]
    """As workers wrote them."""
    merges: list[Merge]
    merged: list[str]
    """Files of the merges."""
    may_repeat: bool
    """Whether a row may be in several of the files."""

    @property
    def names(self) -> list[str]:
        """All of them."""
        return self.merged + self.segments

    @property
    def committed(self) -> frozenset[str]:
        """The segments whose rows are in them, one way or the other."""
        return frozenset(self.segments).union(*(merge.segments for merge in self.merges))


@dataclass(frozen=True, kw_only=True)
class Records:
    """What `merges/` says about a table."""

    merges: list[Merge]
    announced: frozenset[str]
    """Identities of merges that are being written, or whose compactor was killed."""


def read_records(store: Store, table: str) -> Records:
    """Every record of a table's merges. Raises BadInput for a damaged one."""
    while True:
        names = [name for name in store.files("merges") if name.startswith(f"{table}-")]
        records = [name for name in names if name.endswith(RECORD)]
        try:
            merges = [_read(store, table, name) for name in records]
        except FileNotFoundError:  # removed since it was listed, so there is a newer one, not listed yet
            continue
        begun = [name.removeprefix(f"{table}-").removesuffix(ANNOUNCED) for name in names if name.endswith(ANNOUNCED)]
        return Records(merges=merges, announced=frozenset(begun))


def _read(store: Store, table: str, name: str) -> Merge:
    try:
        content = json.loads(store.read_text("merges", name))
        return Merge(
            identity=name.removeprefix(f"{table}-").removesuffix(RECORD),
            table=table,
            files=tuple(content["files"]),
            segments=frozenset(content["segments"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{store.shown(store.path('merges', name))} is damaged ({error}): `prunesweep doctor DIR --repair` puts it "
            "aside, and nothing is lost with it"
        ) from None


def live_files(store: Store, table: str) -> LiveFiles:
    """The files of a table that count. The records are read first, so the files they name are listed."""
    records = read_records(store, table) if table in KEYS else Records(merges=[], announced=frozenset())
    return live_among(records, store.files(table))


def live_among(records: Records, names: Iterable[str]) -> LiveFiles:
    """Which of the files in a table's folder count."""
    listed = {name for name in names if name.endswith(".parquet")}
    merges = records.merges
    whole = [one for one in merges if listed.issuperset(one.files)]
    kept = [one for one in merges if not any(other.stands_for(one) for other in whole)]
    united = frozenset[str]().union(*(one.segments for one in kept))
    passed_over = frozenset[str]().union(*(one.segments for one in whole), *(one.files for one in merges))
    segments = [name for name in sorted(listed - passed_over) if identity_of(name) not in records.announced]
    return LiveFiles(
        segments=segments,
        merges=kept,
        merged=[name for one in kept for name in one.files if name in listed],
        may_repeat=sum(len(one.segments) for one in kept) > len(united)
        or any(one not in whole for one in kept)
        or any(name.startswith(MERGED) for name in segments),
    )


def identity_of(name: str) -> str | None:
    """The merge that wrote a file; None for a segment."""
    return name.removeprefix(MERGED).rpartition("-")[0] if name.startswith(MERGED) else None
