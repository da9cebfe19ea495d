"""Readers see one row a trial, whichever attempts were written, in whichever order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.layout import Store
from orchestrator.store.read import scan_children, scan_table, scan_trials
from orchestrator.store.schema import TABLES
from orchestrator.store.write import write_segment


def attempt(trial: str, attempt_id: str, status: str, number: int = 1) -> dict[str, list[dict[str, Any]]]:
    key = {"trial_id": trial, "attempt_id": attempt_id}
    return {"trials": [key | {"status": status, "attempt": number}], "epochs": [key | {"epoch": 1}]}


def test_an_empty_store_has_every_table_and_column(tmp_path: Path) -> None:
    for table, schema in TABLES.items():
        assert scan_table(Store(tmp_path), table).collect_schema().names() == schema.names


def test_a_folder_name_is_not_a_pattern(tmp_path: Path) -> None:
    for name in ("a [1]", "*", "what?", "{a,b}", "50%20 ü"):
        store = Store(tmp_path / name)
        write_segment(store, "s1", [attempt("A", "a1", "completed")])
        assert scan_trials(store).collect()["trial_id"].to_list() == ["A"], name


def test_the_winner_rule_on_a_literal_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [attempt("A", "a9", "completed"), attempt("B", "b1", "failed", 1)])
    write_segment(store, "s2", [attempt("A", "a1", "completed", 2), attempt("B", "b2", "failed", 2)])
    write_segment(store, "s3", [attempt("A", "a0", "failed", 3), attempt("C", "c1", "failed", 7)])
    write_segment(store, "s4", [attempt("C", "c2", "completed", 1)])
    winners = scan_trials(store).select("trial_id", "attempt_id").sort("trial_id").collect()
    assert winners.rows() == [("A", "a1"), ("B", "b2"), ("C", "c2")]
    epochs = scan_children(store, "epochs").select("attempt_id").sort("attempt_id").collect()
    assert epochs["attempt_id"].to_list() == ["a1", "b2", "c2"]


def test_a_filter_sees_winners_only_and_never_makes_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [attempt("A", "a1", "completed"), attempt("A", "a2", "failed", 2)])
    write_segment(store, "s2", [attempt("B", "b1", "failed", 1), attempt("B", "b2", "failed", 2)])
    for engine in ("in-memory", "streaming"):
        failed = scan_trials(store).filter(pl.col("status") == "failed").collect(engine=engine)
        assert failed["attempt_id"].to_list() == ["b2"]
        early = scan_trials(store).filter(pl.col("attempt") == 1).collect(engine=engine)
        assert early["attempt_id"].to_list() == ["a1"]
        assert scan_trials(store).filter(pl.col("attempt_id") == "b1").collect().is_empty()


def test_a_file_that_was_copied_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("s1", "copy of s1"):
        write_segment(store, name, [attempt("A", "a1", "completed"), attempt("B", "b1", "failed")])
    assert scan_trials(store).select("attempt_id").sort("attempt_id").collect()["attempt_id"].to_list() == ["a1", "b1"]


def test_child_rows_without_their_trial_row_are_not_seen(tmp_path: Path) -> None:
    store = Store(tmp_path)
    half = attempt("A", "a1", "completed")
    write_segment(store, "s1", [{"epochs": half["epochs"]}])  # killed before the commit
    assert scan_children(store, "epochs").collect().is_empty()
    assert scan_table(store, "epochs").collect().height == 1


def test_columns_of_an_older_or_newer_version_are_filled_or_ignored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [attempt("A", "a1", "completed")])
    older = pl.DataFrame({"trial_id": ["B"], "attempt_id": ["b1"], "status": ["completed"], "from_the_future": [1]})
    older.write_parquet(tmp_path / "trials" / "s0.parquet")
    rows = scan_trials(store).sort("trial_id").collect()
    assert rows["trial_id"].to_list() == ["A", "B"]
    assert rows.columns == TABLES["trials"].names


def test_a_store_of_before_the_diagnostics_reads_with_nulls_in_their_place(tmp_path: Path) -> None:
    """Literal columns of the first schema, beside a segment of today's."""
    store = Store(tmp_path)
    old_key = {"trial_id": ["A"], "attempt_id": ["a1"]}
    old: dict[str, dict[str, list[Any]]] = {
        "trials": {"attempt": [1], "status": ["completed"]},
        "layers": {
            "layer": ["classifier"], "position": [0], "num_weights": [200], "kept": [20], "live": [20],
            "score_sum": [1.5],
        },
        "rounds": {"round": [1], "density": [0.1], "kept": [20], "score_cut": [0.5], "flow": [1.5]},
    }  # fmt: skip
    for table, columns in old.items():
        (tmp_path / table).mkdir()
        pl.DataFrame(old_key | columns).write_parquet(tmp_path / table / "s0.parquet")
    new_key = {"trial_id": "B", "attempt_id": "b1"}
    new: dict[str, list[dict[str, Any]]] = {
        "trials": [new_key | {"attempt": 1, "status": "completed"}],
        "layers": [new_key | {"layer": "classifier", "score_sum": 2.0, "initial_score_sum": 3.0}],
        "rounds": [new_key | {"round": 1, "flow": 2.0, "layer_deviation": 0.25, "collapsed_layers": 1}],
    }
    write_segment(store, "s1", [new])
    layers = scan_children(store, "layers").sort("trial_id").collect()
    assert layers.columns == TABLES["layers"].names
    scores = layers.select("score_sum", "initial_score_sum", "unit_conservation_error")
    assert scores.rows() == [(1.5, None, None), (2.0, 3.0, None)]
    rounds = scan_children(store, "rounds").sort("trial_id").collect()
    assert rounds.columns == TABLES["rounds"].names
    assert rounds.select("flow", "layer_deviation", "collapsed_layers").rows() == [(1.5, None, None), (2.0, 0.25, 1)]


ATTEMPTS = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(["completed", "failed"]), st.integers(1, 3), st.integers(0, 9)),
    max_size=12,
    unique_by=lambda one: (one[0], one[3]),
)


@given(ATTEMPTS, st.randoms())
def test_the_winner_depends_on_the_rows_and_not_on_their_order(
    attempts: list[tuple[str, str, int, int]], order: Any
) -> None:
    def oracle(rows: list[tuple[str, str, int, int]]) -> str:
        completed = [one for one in rows if one[1] == "completed"]
        if completed:
            return min(f"{one[3]}" for one in completed)
        latest = max(one[2] for one in rows)
        return min(f"{one[3]}" for one in rows if one[2] == latest)

    expected = {trial: oracle([a for a in attempts if a[0] == trial]) for trial in {a[0] for a in attempts}}
    shuffled = list(attempts)
    order.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for index, (trial, status, number, identity) in enumerate(shuffled):
            write_segment(store, f"s{index}", [attempt(trial, str(identity), status, number)])
        rows = scan_trials(store).select("trial_id", "attempt_id").collect().rows()
    assert dict(rows) == expected
    assert len(rows) == len(expected)
