"""A made-up store is a store: whatever analysis reads, with all that goes wrong in real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from analysis import progress
from analysis.scan import scan
from benchmarks.synthetic_store import Grid, rosenfeld, write_store
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table
from orchestrator.store.schema import TABLES

NUM_TRIALS = 3000


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    write_store(folder, NUM_TRIALS, segment=1000)
    return folder


def test_its_files_have_the_schema_of_a_store(synthetic: Path) -> None:
    for name in ("trials", "epochs", "layers", "rounds", "points"):
        for file in (synthetic / name).iterdir():
            assert pq.read_schema(file).equals(TABLES[name]), file


def test_it_holds_as_many_trials_as_asked_for_and_all_that_goes_wrong(synthetic: Path) -> None:
    counts = progress.table(scan(synthetic)).collect().row(0, named=True)
    assert counts["num_trials"] == NUM_TRIALS
    for outcome in ("failed", "missing", "diverged", "collapsed", "folded"):
        assert 0 < counts[f"num_{outcome}"] < NUM_TRIALS / 4, outcome


def test_trials_tried_twice_and_orphaned_rows_are_there_and_not_seen(synthetic: Path) -> None:
    written, seen = scan_table(Store(synthetic), "epochs"), scan(synthetic)
    attempts = scan_table(Store(synthetic), "trials").group_by("trial_id").agg(pl.len(), pl.col("status")).collect()
    twice = attempts.filter(pl.col("len") == 2)["status"].list.sort().list.join("+").unique().to_list()
    assert {"completed+completed", "completed+failed"} <= set(twice)
    orphans = written.join(scan_table(Store(synthetic), "trials"), on="attempt_id", how="anti").collect()
    assert orphans.height > 0
    assert seen.epochs.select("trial_id", "level", "epoch").collect().is_duplicated().sum() == 0
    assert seen.epochs.select("trial_id").unique().collect().height == seen.trials.collect().height


def test_the_same_arguments_give_the_same_rows(synthetic: Path, tmp_path: Path) -> None:
    write_store(tmp_path, NUM_TRIALS, segment=1000)
    for name in ("trials", "layers"):
        assert scan_table(Store(tmp_path), name).collect().equals(scan_table(Store(synthetic), name).collect())


def test_the_grid_grows_and_leaves_five_seeds() -> None:
    sizes = (100, 1000, 10_000, 100_000)
    cells = [Grid.of(size).num_settings * Grid.of(size).trials_a_setting for size in sizes]
    assert cells == sorted(set(cells))
    assert all(5 * cell <= size for cell, size in zip(cells[1:], sizes[1:], strict=True))


def test_the_law_has_its_limits() -> None:
    dense, ends = np.array([0.07, 0.07]), np.array([1e-9, 1e9])
    assert rosenfeld(dense, ends, np.array([1.2, 1.2])) == pytest.approx([0.9, 0.07], rel=1e-3)
