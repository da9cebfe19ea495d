"""Which files of a table count, once `compact` has merged segments into few files.

A merge is a record under `merges/`: the files that its rows are in, and the segments that these stand for. Publishing
it is the one step that puts the new files in the place of the old ones: before it readers pass over the new files,
after it over the old ones, which stay for a while because readers open files later than they list them. What counts is
a function of the records and the listing alone, so any number of compactors may work at once and be killed anywhere:

- a segment counts unless a merge whose files are all there stands for it;
- a merge counts unless another that is whole stands for the same segments and more (or the same, with a smaller id);
- two merges that stand for some of the same segments both count, and rows are then told apart by their key.

A record names every segment that went into it, through however many merges, and forever: also one that is published
late, by a compactor that slept, is recognised as a repetition.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.store.layout import Store

MERGED = "merged-"
"""Begins the names of files that no worker wrote."""

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

    def publish(self, store: Store) -> None:
        """Put the files in the place of the segments."""
        content = {"files": list(self.files), "segments": sorted(self.segments)}
        store.publish_text(json.dumps(content, indent=0), "merges", self.record)

    @property
    def record(self) -> str:
        """The file that says so, in `merges/`."""
        return f"{self.table}-{self.identity}.json"

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


def read_merges(store: Store, table: str) -> list[Merge]:
    """Every record of a table's merges."""
    while True:
        names = [name for name in store.files("merges") if name.startswith(f"{table}-")]
        try:
            contents = [json.loads(store.read_text("merges", name)) for name in names]
        except FileNotFoundError:  # removed since it was listed, so there is a newer one, not listed yet
            continue
        return [
            Merge(
                identity=name.removeprefix(f"{table}-").removesuffix(".json"),
                table=table,
                files=tuple(content["files"]),
                segments=frozenset(content["segments"]),
            )
            for name, content in zip(names, contents, strict=True)
        ]


def live_files(store: Store, table: str) -> LiveFiles:
    """The files of a table that count. The records are read first, so the files they name are listed."""
    merges = read_merges(store, table) if table in KEYS else []
    return live_among(merges, [name for name in store.files(table) if name.endswith(".parquet")])


def live_among(merges: list[Merge], names: list[str]) -> LiveFiles:
    """Which of the files in a table's folder count."""
    listed = set(names)
    whole = [one for one in merges if listed.issuperset(one.files)]
    replaced = frozenset[str]().union(*(one.segments for one in whole))
    kept = [one for one in merges if not any(other.stands_for(one) for other in whole)]
    num_segments = sum(len(one.segments) for one in kept)
    return LiveFiles(
        segments=[name for name in names if not name.startswith(MERGED) and name not in replaced],
        merges=kept,
        merged=[name for one in kept for name in one.files if name in listed],
        may_repeat=num_segments > len(frozenset[str]().union(*(one.segments for one in kept)))
        or any(one not in whole for one in kept),
    )
