"""What a sweep file asks for that its last run did not, and the other way round.

A grid that has grown runs what is new. One that has changed its meaning, so that results of its last run would answer
nothing any more, is shown before anything runs. So is a new version of prunesweep that computes differently
(`NUMERICS_VERSION`): its trials have other ids and are never mixed with older ones. A user's own code is left out: it
is edited twenty times a day, and everybody knows that this makes its trials new.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from orchestrator.plan import Plan
from orchestrator.saved_sweeps import read_saved_sweep
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points, scan_trials
from orchestrator.sweepfile import SweepFile
from training.config import NUMERICS_VERSION

SOURCES = ("dataset_source", "model_source", "pruner_source")


@dataclass(frozen=True, kw_only=True)
class Change:
    """How a sweep differs from its last run into a store."""

    num_new: int
    """Trials that it did not ask for then."""
    num_dropped: int
    """Trials that it asked for and does not any more."""
    num_dropped_completed: int
    """Of these, completed ones: what would answer nothing any more."""
    numerics: dict[int, int]
    """Completed trials among these by the numerics version that computed them, where it is not this one's."""
    keys: list[tuple[str, str, str]] = field(default_factory=list)
    """Key, old and new value in the sweep file, as JSON; "" for none."""

    @property
    def needs_consent(self) -> bool:
        """Whether results would be left behind."""
        return self.num_dropped_completed > 0

    def to_json(self) -> dict[str, Any]:
        """The change as JSON-ready values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The change in words."""
        lines = [f"{key}: {old or 'not given'} -> {new or 'not given'}" for key, old, new in self.keys]
        for version, count in sorted(self.numerics.items()):
            lines.append(f"{count:,} results are of numerics version {version}; this prunesweep has {NUMERICS_VERSION}")
        counts = f"{self.num_new:,} trials are new, {self.num_dropped:,} are no longer asked for"
        done = f", {self.num_dropped_completed:,} of them completed" if self.num_dropped else ""
        return [*lines, counts + done]

    def lines_of_plan(self) -> list[str]:
        """What `plan` says of it."""
        lines = [f"since the last run: {line}" for line in self.lines()]
        if self.needs_consent:
            lines.append("since the last run: results would be left behind, so `run` asks for --changed")
        return lines


def change_since_last_run(file: SweepFile, plan: Plan, store: Store) -> Change | None:
    """How the sweep differs from its last run into this store; None where that was the first, or nothing differs."""
    was = scan_points(store).filter(pl.col("sweep") == file.sweep.name)
    old = was.select("sweep_hash", "trial_id", *SOURCES).unique("trial_id").collect()
    if old.is_empty():
        return None
    new = plan.ids.to_frame("trial_id")
    is_theirs = pl.any_horizontal((pl.col(name) != "") & ~pl.col(name).is_in(plan.sources) for name in SOURCES)
    dropped = old.filter(~is_theirs).join(new, on="trial_id", how="anti")
    num_new = new.join(old, on="trial_id", how="anti").height
    if not num_new and dropped.is_empty():
        return None
    trials = scan_trials(store).filter(pl.col("status") == "completed").select("trial_id", "numerics_version")
    done = trials.join(dropped.lazy().select("trial_id"), on="trial_id", how="semi").collect()
    other = done.filter(pl.col("numerics_version") != NUMERICS_VERSION)["numerics_version"].value_counts()
    return Change(
        num_new=num_new,
        num_dropped=dropped.height,
        num_dropped_completed=done.height,
        numerics={int(version): int(count) for version, count in other.iter_rows()},
        keys=_changed_keys(file, store, str(old["sweep_hash"][0])),
    )


def _changed_keys(file: SweepFile, store: Store, old_hash: str) -> list[tuple[str, str, str]]:
    if file.hash == old_hash:
        return []
    try:
        old = _flat(read_saved_sweep(store, old_hash).file.sweep.model_dump(mode="json", exclude_unset=True))
    except (OSError, ValueError, KeyError):  # gone, or no longer understood: the counts remain
        return []
    new = _flat(file.sweep.model_dump(mode="json", exclude_unset=True))
    keys = list(dict.fromkeys([*old, *new]))
    return [(key, old.get(key, ""), new.get(key, "")) for key in keys if old.get(key) != new.get(key)]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Keys with dots between them, each with its value as JSON."""
    flat: dict[str, str] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            flat |= _flat(inner, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(inner, ensure_ascii=False)
    return flat
