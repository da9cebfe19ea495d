"""The sweep files that a store keeps: every version verbatim, where it came from and how it was run.

`resume DIR` reads them, so that it needs neither the file nor the options, wherever it is typed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.origin import origin_of
from orchestrator.plan import publish_points
from orchestrator.store.layout import Store
from orchestrator.sweepfile import SweepFile, parse_sweep


@dataclass(frozen=True, kw_only=True)
class SavedSweep:
    """A sweep file as it was run."""

    file: SweepFile
    last_run_at: str
    """UTC, ISO 8601."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What that run was told of `RunOptions`, where it is worth remembering (`run.REMEMBERED`)."""


def save_sweep(file: SweepFile, store: Store, options: Mapping[str, Any] | None = None) -> None:
    """Keep the sweep file verbatim, its grid, where its user's modules lie, and the options of the run."""
    store.publish_text(file.text, "sweeps", f"{file.hash}.yaml")
    origin = {
        "name": file.sweep.name,
        "folder": origin_of(file.folder).folder,
        "last_run_at": datetime.now(UTC).isoformat(),
        "options": dict(options or {}),
    }
    store.publish_text(json.dumps(origin, indent=1), "sweeps", f"{file.hash}.json")
    publish_points(file, store)


def load_saved_sweep(store: Store) -> SavedSweep:
    """The sweep that was last run into this store. Raises BadInput where there is none."""
    hashes = [name.removesuffix(".json") for name in store.files("sweeps") if name.endswith(".json")]
    if not hashes:
        raise BadInput(f"{store.location} holds no sweep: expected the folder that `prunesweep run SWEEP` wrote")
    try:
        last_run_at = {one: str(_origin(store, one)["last_run_at"]) for one in hashes}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{store.shown(store.path('sweeps'))} holds a damaged .json file ({error}): remove it; "
            "`prunesweep doctor DIR` says which"
        ) from None
    return read_saved_sweep(store, max(hashes, key=last_run_at.__getitem__))


def latest_sweeps(store: Store) -> dict[str, SavedSweep]:
    """The last run version of each sweep, by name; those whose files are damaged are left out (`doctor` names them)."""
    latest: dict[str, SavedSweep] = {}
    for name in store.files("sweeps"):
        if not name.endswith(".json"):
            continue
        try:
            saved = read_saved_sweep(store, name.removesuffix(".json"))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        known = latest.get(saved.file.sweep.name)
        if known is None or saved.last_run_at > known.last_run_at:
            latest[saved.file.sweep.name] = saved
    return latest


def last_told(name: str, store: Store, option: str) -> dict[str, Any]:
    """An option of the last run of the sweep of that name, as a dictionary; empty where it had none."""
    last = latest_sweeps(store).get(name)
    return {option: last.options[option]} if last and option in last.options else {}


def read_saved_sweep(store: Store, sweep_hash: str) -> SavedSweep:
    """One version of a sweep file. Raises OSError where a part is gone, ValueError, KeyError where it is damaged."""
    origin = _origin(store, sweep_hash)
    text = store.read_text("sweeps", f"{sweep_hash}.yaml")
    name = store.shown(store.path("sweeps", f"{sweep_hash}.yaml"))
    file = parse_sweep(text, name=name, folder=Path(origin["folder"]))
    return SavedSweep(file=file, last_run_at=str(origin["last_run_at"]), options=origin.get("options", {}))


def _origin(store: Store, sweep_hash: str) -> dict[str, Any]:
    origin: dict[str, Any] = json.loads(store.read_text("sweeps", f"{sweep_hash}.json"))
    return origin
