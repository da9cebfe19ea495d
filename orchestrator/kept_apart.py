"""Completed trials that no sweep of a store asks for now: of settings since changed, or of another numerics version.

They stay, answer no point of a grid, and count again once a sweep asks for them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from orchestrator.store.layout import Store
from orchestrator.store.read import scan_points, scan_trials
from training.config import NUMERICS_VERSION

GROUPS_SHOWN = 12
"""The largest ones where there are more."""


@dataclass(frozen=True, kw_only=True)
class KeptApart:
    """Such trials of one kind."""

    numerics_version: int
    """That computed them; 0 where the rows do not say."""
    dataset: str
    model: str
    pruner: str
    num_trials: int


def kept_apart(store: Store) -> list[KeptApart]:
    """What a store keeps apart: the newest numerics first, and of each the most trials."""
    kinds = ["numerics_version", "dataset", "model", "pruner"]
    done = scan_trials(store).filter(pl.col("status") == "completed").select("trial_id", *kinds)
    others = done.join(scan_points(store).select("trial_id"), on="trial_id", how="anti")
    counts = others.with_columns(pl.col("numerics_version").fill_null(0)).group_by(kinds).agg(num_trials=pl.len())
    order = counts.sort("numerics_version", "num_trials", *kinds[1:], descending=[True, True, False, False, False])
    return [KeptApart(**row) for row in order.collect().iter_rows(named=True)]


def kept_apart_lines(apart: Sequence[KeptApart], location: str) -> list[str]:
    """The same in words, with the query that lists each trial of an older version; none where there are none."""
    if not apart:
        return []
    total = sum(group.num_trials for group in apart)
    lines = [f"kept apart: {total:,} completed trials that no sweep here asks for now"]
    for group in apart[:GROUPS_SHOWN]:
        what = f"{group.num_trials:,} of {group.dataset}, {group.model}, {group.pruner}"
        older = group.numerics_version != NUMERICS_VERSION
        version = f", numerics version {group.numerics_version}; this prunesweep has {NUMERICS_VERSION}"
        lines.append(f"  {what}{version if older else ''}")
    if len(apart) > GROUPS_SHOWN:
        lines.append(f"  and {len(apart) - GROUPS_SHOWN:,} kinds more")
    if any(group.numerics_version != NUMERICS_VERSION for group in apart):
        sql = f"SELECT * FROM trials WHERE numerics_version <> {NUMERICS_VERSION}"
        lines.append(f'  each of an older version: prunesweep query {shlex.quote(location)} "{sql}"')
    return lines
