"""A file appears in a store whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.store.layout import Store


def test_a_published_table_reads_back(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2]})
    Store(tmp_path).publish_table(table, "trials", "one.parquet")
    assert pq.read_table(tmp_path / "trials" / "one.parquet").equals(table)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish_text("first", "sweeps", "a.yaml")
    text: Any = "text, not bytes"
    with pytest.raises(TypeError):
        store._publish(lambda stream: stream.write(text), "sweeps", "a.yaml")
    assert store.read_text("sweeps", "a.yaml") == "first"
    assert [path.name for path in (tmp_path / "sweeps").iterdir()] == ["a.yaml"]


def test_readers_do_not_list_unfinished_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish_text("x", "sweeps", "a.yaml")
    (tmp_path / "sweeps" / ".unfinished").write_text("half")
    assert store.files("sweeps") == ["a.yaml"]
    assert store.files("nothing here") == []


def test_a_relative_location_means_the_same_after_changing_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store("results/größe 2").location == str(tmp_path / "results" / "größe 2")


def test_a_folder_is_removed_with_what_is_in_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish_text("x", "runs", "r1", "run.json")
    store.remove_folder("runs", "r1")
    store.remove_folder("runs", "r1")
    assert not store.exists("runs", "r1")
