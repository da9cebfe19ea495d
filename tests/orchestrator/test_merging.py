"""Files are merged while a run writes more of them; readers see the same rows all the time."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl

from orchestrator.merging import MergesMeanwhile
from orchestrator.store.compact import num_files
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table, scan_trials
from orchestrator.store.write import write_segment
from tests.orchestrator.store.test_compact import attempt


def test_a_store_is_merged_above_its_budget_and_not_below(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with MergesMeanwhile(store, file_budget=40, seconds_between_looks=0.05):
        for number in range(5):
            write_segment(store, f"few-{number}", [attempt(f"f{number}", "a")])
        time.sleep(0.5)
        assert not store.exists("merges")
        for number in range(60):
            write_segment(store, f"many-{number}", [attempt(f"m{number}", "a")])
            assert scan_trials(store).select(pl.len()).collect().item() == 6 + number
        deadline = time.monotonic() + 60
        while num_files(store) > 40:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert store.exists("merges")
    rows = scan_table(store, "trials").collect()
    assert sorted(rows["trial_id"]) == sorted([f"f{n}" for n in range(5)] + [f"m{n}" for n in range(60)])
