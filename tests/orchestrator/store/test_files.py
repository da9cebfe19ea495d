"""A file of results is what was published, or it is said to be damaged."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from orchestrator.store.files import problem_of, publish_rows, segment_of
from orchestrator.store.layout import Store
from orchestrator.store.read import damaged_files, scan_trials
from orchestrator.store.write import write_segment

ROW = {"trial_id": "t1", "attempt_id": "a1", "attempt": 1, "status": "completed", "final_test_loss": 0.5}


def published(folder: Path) -> tuple[Store, str]:
    store = Store(folder)
    write_segment(store, "run-1", [{"trials": [ROW], "epochs": [{"trial_id": "t1", "attempt_id": "a1", "epoch": 1}]}])
    (name,) = store.files("trials")
    return store, name


def test_a_segment_has_one_name_in_all_tables_and_its_content_in_each_files(tmp_path: Path) -> None:
    store, name = published(tmp_path)
    (other,) = store.files("epochs")
    assert name != other
    assert segment_of(name) == segment_of(other) == "run-1"
    assert [problem_of(store, "trials", name), problem_of(store, "epochs", other)] == ["", ""]
    assert scan_trials(store).collect()["final_test_loss"].to_list() == [0.5]


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    store, name = published(tmp_path)
    content = store.read_bytes("trials", name)
    damaged = [
        bytes([*content[:at], content[at] ^ 1 << at % 8, *content[at + 1 :]]) for at in range(0, len(content), 50)
    ]
    damaged += [content[:-1], content[: len(content) // 2], content[:4], b""]
    for one in damaged:
        store.publish_bytes(one, "trials", name)
        assert "not a whole Parquet file" in problem_of(store, "trials", name)
    assert damaged_files(store) == [store.path("trials", name)]


def test_a_file_of_an_older_version_is_read_through(tmp_path: Path) -> None:
    store, name = published(tmp_path)
    content = store.read_bytes("trials", name)
    store.publish_bytes(content, "trials", "old.parquet")
    assert problem_of(store, "trials", "old.parquet") == ""
    for cut in (-1, len(content) // 2, 4, 0):
        store.publish_bytes(content[:cut], "trials", "old.parquet")
        assert "not a whole Parquet file" in problem_of(store, "trials", "old.parquet"), cut


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = {"trial_id": ["t1"], "attempt_id": ["a1"], "status": ["completed"], "attempt": [1]}
    for column, expected in (
        ({"final_test_loss": [1]}, "column 'final_test_loss' is int64, expected double"),
        ({"of_a_newer_version": [[1]]}, ""),
    ):
        name = publish_rows(store, pa.table(key | column), "trials", "s")
        assert expected in problem_of(store, "trials", name)
        assert bool(expected) == bool(problem_of(store, "trials", name))


def test_statistics_that_would_make_readers_skip_rows_are_found(tmp_path: Path) -> None:
    """The row group's largest id, as its footer has it, is written over with a smaller one."""
    rows = pa.table(
        {"trial_id": ["aaaa", "zzzz"], "attempt_id": ["a", "b"], "status": ["failed"] * 2, "attempt": [1, 2]}
    )
    store = Store(tmp_path)
    name = publish_rows(store, rows, "trials", "s")
    content = store.read_bytes("trials", name)
    at = content.rindex(b"zzzz")
    store.publish_bytes(content[:at] + b"bbbb" + content[at + 4 :], "trials", "old.parquet")
    assert "row group 0 says that its trial ids are aaaa to" in problem_of(store, "trials", "old.parquet")
