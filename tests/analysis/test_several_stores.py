"""Several stores: read as one sweep, or side by side."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analysis import accuracy
from analysis.scan import CHILDREN, Trials, scan, sweep_names
from orchestrator.errors import BadInput
from tests.analysis.conftest import StoreBuilder


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """A trial that failed in one store and completed in the other, one that both completed, and one of each alone."""
    a, b = StoreBuilder(tmp_path / "a"), StoreBuilder(tmp_path / "b")
    for builder in (a, b):
        builder.point("t0", seed=0)
        builder.point("t1", seed=1)
    a.trial("t0", attempt_id="a0", error=("OSError", "disk"), layers={"first": (10, 1)})
    b.trial("t0", attempt_id="b0", final_test_accuracy=0.5, layers={"first": (10, 2)})
    a.trial("t1", attempt_id="x9", final_test_accuracy=0.7, layers={"first": (10, 3)})
    b.trial("t1", attempt_id="x1", final_test_accuracy=0.9, layers={"first": (10, 4)})
    a.both("only a", point={"seed": 2, "pruner": "snip"}, final_test_accuracy=0.1)
    b.both("only b", point={"seed": 2, "iterations": 100, "sweep": "other"}, final_test_accuracy=0.2)
    return str(a.write()), str(b.write())


def rows(store: Trials) -> list[tuple[Any, ...]]:
    columns = ["store", "trial_id", "curve", "outcome", "final_test_accuracy"]
    return [
        (Path(name).name, *rest)
        for name, *rest in store.results.select(columns).sort("trial_id", "store").collect().rows()
    ]


def test_as_one_sweep_the_better_attempt_of_either_store_counts(two: tuple[str, str]) -> None:
    assert rows(scan(*two)) == [
        ("a", "only a", "snip", "completed", 0.1),
        ("b", "only b", "synflow, 100 rounds", "completed", 0.2),
        ("b", "t0", "synflow, 1 round", "completed", 0.5),
        ("b", "t1", "synflow, 1 round", "completed", 0.9),  # among completed the smallest attempt_id
    ]


def test_the_order_of_stores_does_not_matter(two: tuple[str, str]) -> None:
    assert rows(scan(*reversed(two))) == rows(scan(*two))


def test_children_are_those_of_the_attempts_that_count(two: tuple[str, str]) -> None:
    for store in (scan(*two), scan(*two).gathered()):
        assert store.layers.select("trial_id", "kept").sort("trial_id").collect().rows() == [("t0", 2), ("t1", 4)]


def test_a_store_copied_whole_changes_nothing(two: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "a").rename(tmp_path / "c")
    one = scan(tmp_path / "c")
    expected = rows(one)
    shutil.copytree(tmp_path / "c", tmp_path / "d")
    both = scan(tmp_path / "c", tmp_path / "d")
    assert [row[1:] for row in rows(both)] == [row[1:] for row in expected]
    for name in ("trials", "layers", "points"):
        assert getattr(both, name).collect().height == getattr(one, name).collect().height, name


def test_apart_each_store_keeps_its_own_under_labels_that_hold_for_both(two: tuple[str, str]) -> None:
    store = scan(*two, apart=True)
    assert rows(store) == [
        ("a", "only a", "snip", "completed", 0.1),
        ("b", "only b", "synflow, 100 rounds", "completed", 0.2),
        ("a", "t0", "synflow, 1 round", "failed", None),
        ("b", "t0", "synflow, 1 round", "completed", 0.5),
        ("a", "t1", "synflow, 1 round", "completed", 0.7),
        ("b", "t1", "synflow, 1 round", "completed", 0.9),
    ]
    assert store.layers.select("kept").collect()["kept"].sort().to_list() == [1, 2, 3, 4]


def test_one_store_of_several_is_what_a_summary_takes(two: tuple[str, str]) -> None:
    both = scan(*two, apart=True)
    for store in (both, both.gathered()):
        one = store.of(two[0])
        assert one.stores == (two[0],)
        means = accuracy.table(one.results).select("curve", "n", "mean_accuracy", "num_failed").collect().rows()
        assert means == [("snip", 1, 0.1, 0), ("synflow, 1 round", 1, 0.7, 1)]
        assert {getattr(one, name).select("store").collect()["store"].n_unique() for name in CHILDREN} <= {0, 1}
        assert one.gathered().results.collect().height == 3
    with pytest.raises(BadInput, match="was not opened, did you mean"):
        both.of(two[0] + "x")


def test_what_is_gathered_is_what_is_scanned(realistic: Path) -> None:
    lazy = scan(realistic)
    gathered = lazy.gathered()
    columns = gathered.results.collect_schema().names()
    assert gathered.results.collect().equals(lazy.results.select(columns).collect())
    order = ["trial_id", "position"]
    assert gathered.layers.sort(order).collect().equals(lazy.layers.sort(order).collect())


def test_names_of_sweeps_are_those_of_all_stores(two: tuple[str, str]) -> None:
    assert sweep_names(*two).collect()["sweep"].to_list() == ["demo", "other"]


def test_the_same_store_twice_or_none_is_refused(two: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match="each once"):
        scan(two[0], two[0])
    with pytest.raises(BadInput, match="got none"):
        scan()


def test_stores_of_which_one_is_empty(two: tuple[str, str], tmp_path: Path) -> None:
    both = scan(two[0], tmp_path / "nowhere")
    assert [row[1:] for row in rows(both)] == [row[1:] for row in rows(scan(two[0]))]
    assert both.trials.select(pl.len()).collect().item() == 3
