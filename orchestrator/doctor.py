"""Look over a store: what is damaged, what contradicts itself, what is missing, what lies about; and mend it.

Nothing that holds a result is deleted: damaged files, and rows that lost a part of their trial, move to `quarantine/`.
A trial whose rows are incomplete counts as not done, so that `resume` runs it again.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import pyarrow.fs as pafs

from orchestrator.errors import BadInput
from orchestrator.leftovers import DAYS_A_RUN_MAY_TAKE, remove_snapshot, unneeded_snapshots
from orchestrator.plan import publish_points
from orchestrator.saved_sweeps import SavedSweep, read_saved_sweep
from orchestrator.store.compact import ABANDONED_SECONDS, GRACE_SECONDS, remove_replaced, withdraw
from orchestrator.store.disagreements import disagreements
from orchestrator.store.files import problem_of, segment_of
from orchestrator.store.layout import Store
from orchestrator.store.merges import ATTEMPT, KEYS, RECORD, LiveFiles, identity_of, live_among, read_records
from orchestrator.store.read import rows_in, winners
from orchestrator.store.schema import TABLES

CHILDREN = tuple(table for table in KEYS if table != "trials")
DISAGREEING = "disagreeing-"
"""Begins the names of files in quarantine/ that hold attempts which contradict each other."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    kind: str
    """"damaged", "incomplete", "contradiction", "missing": problems; "leftover": nobody is hurt by it."""
    what: str
    done: str = ""
    """What `--repair` did about it; "" where it was not asked, or there is nothing it can do."""

    @property
    def is_problem(self) -> bool:
        """Whether the store says less than it should."""
        return self.kind != "leftover"


@dataclass(kw_only=True)
class Diagnosis:
    """What was found in a store."""

    files_checked: int = 0
    findings: list[Finding] = field(default_factory=list)
    will_run_again: list[str] = field(default_factory=list)
    """Ids of trials that were done and no longer count, as far as what is left says their names."""
    trials_without_result: int = 0
    """Trials of the store's sweeps that have neither completed nor failed; `resume` runs them."""

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong; leftovers are not."""
        return not any(one.is_problem for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as JSON-ready values."""
        return {"healthy": self.is_healthy} | asdict(self)


def examine(store: Store, *, repair: bool = False, alone: bool = False) -> Diagnosis:
    """Check everything in a store and, with `repair`, mend it.

    `alone`: no run and no compaction is going on, so everything unfinished is a leftover, however young.
    """
    return _Doctor(store, repair=repair, alone=alone).examine()


class _Doctor:
    def __init__(self, store: Store, *, repair: bool, alone: bool) -> None:
        self._store, self._repair, self._alone = store, repair, alone
        self._found = Diagnosis()
        self._damaged: dict[str, set[str]] = {table: set() for table in TABLES}

    def examine(self) -> Diagnosis:
        if self._check_records():  # else nobody can say which files count
            for table in TABLES:
                self._check_files(table)
            self._check_trials()
            self._check_sweeps()
            self._count_missing()
        self._check_unfinished()
        return self._found

    def _say(self, kind: str, what: str, mend: Callable[[], object] | None = None, done: str = "") -> None:
        """Note a finding and, where that is asked for, mend it."""
        if mend is None or not self._repair:
            done = ""
        else:
            try:
                mend()
            except BadInput as error:
                done = f"not repaired: {error}"
        self._found.findings.append(Finding(kind=kind, what=what, done=done))

    def _put_aside(self, *parts: str) -> Callable[[], None]:
        return partial(self._store.move, parts, ("quarantine", *parts))

    def _check_records(self) -> bool:
        is_sound = True
        for name in self._store.files("merges"):
            if not name.endswith(RECORD):
                continue
            try:
                content = json.loads(self._store.read_text("merges", name))
                is_whole = isinstance(content["files"], list) and isinstance(content["segments"], list)
            except (ValueError, KeyError, TypeError):
                is_whole = False
            if not is_whole:
                self._say("damaged", f"merges/{name}", self._put_aside("merges", name), "moved to quarantine/")
                is_sound = self._repair
        return is_sound

    def _check_files(self, table: str) -> None:
        for name in self._store.files(table):
            if not name.endswith(".parquet"):
                continue
            self._found.files_checked += 1
            if problem := problem_of(self._store, table, name):
                self._damaged[table].add(name)
                self._say("damaged", f"{table}/{name}: {problem}", self._put_aside(table, name), "moved to quarantine/")

    def _live(self, table: str) -> LiveFiles:
        """The whole files that count."""
        records = read_records(self._store, table)
        return live_among(records, set(self._store.files(table)) - self._damaged[table])

    def _rows(self, table: str) -> pl.LazyFrame:
        return rows_in(self._store, table, self._live(table))

    def _check_trials(self) -> None:
        trials = self._rows("trials")
        best = winners(trials.select(*ATTEMPT, "attempt", "status", "density")).collect()
        lost = [self._lost_with(table, name, best) for table in CHILDREN for name in sorted(self._damaged[table])]
        done = best.filter(pl.col("status") == "completed")
        for table in ("epochs", "layers"):  # every completed trial has some
            lost.append(_without(done, self._rows(table)).select(ATTEMPT))
        incomplete = pl.concat(lost).unique().sort(ATTEMPT)
        if incomplete.height:
            self._say(
                "incomplete",
                f"{incomplete.height:,} trials lack rows in other tables",
                partial(self._withdraw, incomplete),
                "their rows moved to quarantine/, so that they run again",
            )
        gone = {one for name in self._damaged["trials"] for one in self._named_by_others(name)}
        gone -= set(best["trial_id"])
        self._found.will_run_again = sorted(gone | set(incomplete["trial_id"]))
        self._check_contradictions(trials)
        self._check_orphans()

    def _lost_with(self, table: str, name: str, best: pl.DataFrame) -> pl.DataFrame:
        """Attempts that count and had rows in a damaged file, as far as can be known: rather one too many."""
        done = best.filter(pl.col("status") == "completed")
        if table == "rounds":
            done = done.filter(pl.col("density").fill_null(0.0) < 1)  # nothing was pruned elsewhere
        without = _without(done, self._rows(table)).select(ATTEMPT)
        if identity := identity_of(name):
            lowest, highest = self._range_of(table, identity, name)
            return without.filter(pl.col("trial_id") > lowest, (pl.col("trial_id") < highest) | (highest == ""))
        siblings = self._named_by_others(name)
        return without.filter(pl.col("trial_id").is_in(siblings)) if siblings else without

    def _range_of(self, table: str, identity: str, damaged: str) -> tuple[str, str]:
        """The trial ids between which the rows of a merged file lie, by its whole neighbours; "" for none."""
        lowest = highest = ""
        for name in self._store.files(table):
            if identity_of(name) != identity or name in self._damaged[table]:
                continue
            ids = pl.read_parquet(self._store.read_bytes(table, name), columns=["trial_id"])["trial_id"]
            first, last = str(ids.min()), str(ids.max())
            if name < damaged:
                lowest = max(lowest, last)
            else:
                highest = min(highest or first, first)
        return lowest, highest

    def _named_by_others(self, damaged: str) -> set[str]:
        """Ids of trials in the same segment's files of other tables."""
        found: set[str] = set()
        for table in KEYS:
            for name in self._store.files(table):
                if segment_of(name) == segment_of(damaged) and name not in self._damaged[table]:
                    rows = pl.read_parquet(self._store.read_bytes(table, name), columns=["trial_id"])
                    found |= set(rows["trial_id"])
        return found

    def _withdraw(self, attempts: pl.DataFrame) -> None:
        rows = self._rows("trials").join(attempts.lazy(), on=ATTEMPT, how="semi").collect()
        digest = hashlib.blake2b("".join(attempts["attempt_id"]).encode(), digest_size=6).hexdigest()
        self._store.publish_table(rows.to_arrow(), "quarantine", f"incomplete-{digest}.parquet")
        withdraw(self._store, self._live("trials"), attempts)

    def _check_contradictions(self, trials: pl.LazyFrame) -> None:
        for identity, rows in disagreements(trials).group_by("trial_id", maintain_order=True):
            self._say("contradiction", _contradiction(str(identity[0]), rows))
        for name in self._store.files("quarantine"):
            if name.startswith(DISAGREEING):
                rows = pl.read_parquet(self._store.read_bytes("quarantine", name))
                for identity, part in rows.group_by("trial_id", maintain_order=True):
                    known = f"{_contradiction(str(identity[0]), part)} (kept in quarantine/{name}: remove it once seen)"
                    self._say("contradiction", known)

    def _check_orphans(self) -> None:
        committed = {segment_of(name) for name in self._live("trials").committed | self._damaged["trials"]}
        for table in CHILDREN:
            ages = self._ages(table)
            for name in self._live(table).segments:
                if segment_of(name) in committed or identity_of(name):
                    continue
                if self._alone or ages[name] > ABANDONED_SECONDS:
                    what = f"{table}/{name}: rows of trials that were never committed"
                    self._say("leftover", what, self._put_aside(table, name), "moved to quarantine/")

    def _check_sweeps(self) -> None:
        hashes = {name.rpartition(".")[0] for name in self._store.files("sweeps") if name.endswith((".yaml", ".json"))}
        latest: dict[str, SavedSweep] = {}
        for one in sorted(hashes):
            try:
                saved = read_saved_sweep(self._store, one)
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._say("damaged", f"sweeps/{one}.yaml and .json cannot be read: {error}; run the sweep file again")
                continue
            if saved.file.hash != one:
                self._say("damaged", f"sweeps/{one}.yaml was changed: its name is the hash of what was run")
            name = saved.file.sweep.name
            if name not in latest or saved.last_run_at > latest[name].last_run_at:
                latest[name] = saved
        points = set(self._store.files("points")) - self._damaged["points"]
        for name, saved in latest.items():
            if f"{name}.parquet" not in points:
                publish = partial(publish_points, saved.file, self._store)
                done = "written anew from the saved sweep file"
                self._say("missing", f"points/{name}.parquet, the grid of a sweep", publish, done)
                if self._repair:
                    self._damaged["points"].discard(f"{name}.parquet")
        for stray in sorted(points - {f"{name}.parquet" for name in latest}):
            self._say("missing", f"sweeps/ has no readable file of the sweep in points/{stray}; run it again")

    def _count_missing(self) -> None:
        names = [name for name in self._store.files("points") if name not in self._damaged["points"]]
        points = LiveFiles(segments=names, merges=[], merged=[], may_repeat=False)
        gone = pl.LazyFrame({"trial_id": self._found.will_run_again}, schema={"trial_id": pl.String})
        known = self._rows("trials").select("trial_id").join(gone, on="trial_id", how="anti")
        asked = rows_in(self._store, "points", points).select("trial_id").unique()
        missing = asked.join(known, on="trial_id", how="anti").select(pl.len()).collect()
        self._found.trials_without_result = int(missing.item())

    def _check_unfinished(self) -> None:
        oldest = 0.0 if self._alone else ABANDONED_SECONDS
        for parts, age in self._unfinished_files(()):
            if age >= oldest:
                path = "/".join(parts)
                self._say(
                    "leftover",
                    f"{path}: a file that was never finished",
                    partial(self._store.remove, *parts),
                    "deleted",
                )
        last = f"{datetime.now(UTC) - timedelta(days=0 if self._alone else DAYS_A_RUN_MAY_TAKE):%Y%m%dT%H%M%S}"
        for run in self._store.folders("runs"):
            if run < last:
                remove = partial(self._store.remove_folder, "runs", run)
                self._say("leftover", f"runs/{run}: the plan of a run that is over", remove, "deleted")
        if self._repair or self._found.is_healthy:  # what is needed follows from what is whole
            unneeded = unneeded_snapshots(self._store)
            for kind, keys in (("checkpoints", unneeded.checkpoints), ("prefixes", unneeded.prefixes)):
                for key in keys:
                    remove = partial(remove_snapshot, self._store, kind, key)
                    self._say("leftover", f"{kind}/{key}: no trial starts from it any more", remove, "deleted")
        if self._repair:
            grace_seconds = 0.0 if self._alone else GRACE_SECONDS
            remove_replaced(self._store, grace_seconds=grace_seconds, abandoned_seconds=oldest)

    def _unfinished_files(self, folder: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every file that was begun under a temporary name and not published, and its age in seconds."""
        for info in self._store.entries(*folder):
            parts = (*folder, info.base_name)
            if info.type == pafs.FileType.Directory:
                yield from self._unfinished_files(parts)
            elif re.fullmatch(r"\.[0-9a-f]{32}", info.base_name):
                yield parts, time.time() - info.mtime.timestamp()

    def _ages(self, *folder: str) -> dict[str, float]:
        return {info.base_name: time.time() - info.mtime.timestamp() for info in self._store.entries(*folder)}


def _without(attempts: pl.DataFrame, children: pl.LazyFrame) -> pl.DataFrame:
    """Attempts that have no row in a child table."""
    return attempts.join(children.select(ATTEMPT).unique().collect(), on=ATTEMPT, how="anti")


def _contradiction(trial_id: str, rows: pl.DataFrame) -> str:
    columns = str(rows["differs"][0]).split(", ")
    values = "; ".join(f"{name}: {', '.join(map(str, rows[name]))}" for name in columns)
    hosts = ", ".join(sorted({str(host) for host in rows["host"]}))
    return f"trial {trial_id} was completed {rows.height} times in one execution class, differently ({hosts}): {values}"
