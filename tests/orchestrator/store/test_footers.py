"""What footers tell: which file is none of a table, and which column has one value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.footers import constant_columns, schema_faults
from orchestrator.store.layout import Store
from orchestrator.store.schema import AS_BEFORE, POINTS, REQUIRED, TABLES


def publish(store: Store, name: str, rows: list[dict[str, Any]], table: str = "points") -> None:
    store.publish_table(pa.Table.from_pylist(rows, schema=TABLES[table]), table, f"{name}.parquet")


def test_a_column_is_constant_if_all_rows_of_all_files_agree(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "a", [{"model": "mlp", "lr": 0.1, "pruner": "snip", "augment": True, "levels": 2}] * 2)
    publish(store, "b", [{"model": "mlp", "lr": 0.1, "pruner": "erk", "augment": True, "levels": None}])
    found = constant_columns(store, "points")
    assert {name: found[name] for name in ("model", "lr", "augment")} == {"model": "mlp", "lr": 0.1, "augment": True}
    assert "pruner" not in found
    assert "levels" not in found  # 2 in one file, and in the other what it was before the column existed: 1
    assert found["dataset"] is None
    assert found["ablation"] == "none"


def test_a_column_that_a_file_is_older_than_has_the_value_of_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "new", [{"model": "mlp", "ablation": "none", "precision": "bf16"}])
    (tmp_path / "points" / "x").parent.mkdir(exist_ok=True)
    pl.DataFrame({"model": ["mlp"]}).write_parquet(tmp_path / "points" / "old.parquet")
    found = constant_columns(store, "points")
    assert (found["model"], found["ablation"]) == ("mlp", "none")
    assert "precision" not in found


@given(st.lists(st.lists(st.sampled_from([None, 1, 2]), min_size=1, max_size=4), min_size=1, max_size=3))
def test_constant_is_what_reading_all_rows_would_find(tmp_path_factory: Any, files: list[list[int | None]]) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    for number, values in enumerate(files):
        publish(store, f"f{number}", [{"iterations": value} for value in values])
    found = {value for file in files for value in file}
    assert constant_columns(store, "points").get("iterations", "varying") == (
        next(iter(found)) if len(found) == 1 else "varying"
    )


def test_without_files_or_with_a_damaged_one_nothing_is_known(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert set(constant_columns(store, "points")) == set()
    publish(store, "a", [{"model": "mlp"}])
    (tmp_path / "points" / "b.parquet").write_bytes(b"PAR1 and then nothing")
    assert constant_columns(store, "points") == {}
    assert schema_faults(store, "points") == []  # damage is another question


@pytest.mark.parametrize("table", TABLES)
def test_an_own_file_is_without_fault_and_a_foreign_one_is_named(tmp_path: Path, table: str) -> None:
    store = Store(tmp_path)
    publish(store, "own", [{}], table)
    assert schema_faults(store, table) == []
    pl.DataFrame({name: [1] for name in REQUIRED[table][1:]}).write_parquet(tmp_path / table / "foreign.parquet")
    faults = schema_faults(store, table)
    assert all(fault.startswith(f"{tmp_path}/{table}/foreign.parquet: ") for fault in faults)
    assert f"has no column {REQUIRED[table][0]!r}" in faults[0]
    assert any("is int64, expected string" in fault for fault in faults[1:])


def test_files_written_by_other_tools_in_types_that_read_alike_are_fine(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "own", [{"trial_id": "a"}])
    own = tmp_path / "points" / "own.parquet"
    pl.read_parquet(own).write_parquet(own)  # large strings
    assert schema_faults(store, "points") == []


def test_of_many_files_some_are_looked_at_the_first_and_the_last_among_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(30):
        publish(store, f"f{number:02}", [{}])
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "points" / "f29.parquet")
    assert schema_faults(store, "points", most_files=5)
    assert len(schema_faults(store, "points")) == len(REQUIRED["points"])


def test_what_was_before_a_column_has_its_type() -> None:
    for name, value in AS_BEFORE.items():
        kinds = {schema.field(name).type for schema in TABLES.values() if name in schema.names}
        assert kinds == {pa.scalar(value).type}, name
    assert set(AS_BEFORE) & set(POINTS.names)
