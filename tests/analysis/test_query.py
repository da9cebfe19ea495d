"""SQL over a small literal store: answers by hand, and mistakes that say what is near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analysis.query import TABLES, columns, problem, query
from analysis.scan import Trials, scan
from orchestrator.errors import BadInput


@pytest.fixture
def store(builder: Any) -> Trials:
    builder.point("dense", pruner="snip", density=1.0)
    builder.point("dense", pruner="synflow", density=1.0)
    builder.trial("dense", density=1.0, final_test_accuracy=0.75, layers={"a": (10, 10), "b": (20, 20)})
    builder.both("s", point={"pruner": "snip"}, final_test_accuracy=0.25, layers={"a": (10, 0), "b": (20, 3)})
    builder.both("f", point={"pruner": "synflow"}, error=("ValueError", "no"))
    builder.orphans("s", "killed", {"a": (10, 9)})
    return scan(builder.write())


def test_it_answers_over_every_table(store: Trials) -> None:
    statement = (
        "SELECT curve, count(*) AS n, avg(final_test_accuracy) AS mean FROM results GROUP BY curve ORDER BY curve"
    )
    assert query(store, statement).collect().rows() == [("snip", 2, 0.5), ("synflow", 2, 0.75)]
    joined = (
        "SELECT r.curve, l.layer, l.kept FROM results r JOIN layers l ON r.trial_id = l.trial_id "
        "WHERE l.kept < 10 ORDER BY l.position"
    )
    assert query(store, joined).collect().rows() == [("snip", "a", 0), ("snip", "b", 3)]
    for table, expected in {"trials": 3, "epochs": 0, "layers": 4, "rounds": 0, "masks": 0, "points": 4}.items():
        assert query(store, f"SELECT count(*) AS n FROM {table}").collect().item() == expected, table


@pytest.mark.parametrize(
    "statement",
    ["-- the best\nselect 1 AS x", "/* of all */ (SELECT 1 AS x)", "WITH t AS (SELECT 1 AS x) SELECT * FROM t"],
)
def test_a_statement_may_begin_with_comments_brackets_and_with(store: Trials, statement: str) -> None:
    assert query(store, statement).collect().rows() == [(1,)]


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE trials", "DELETE FROM trials", "TRUNCATE TABLE trials", "CREATE TABLE a AS SELECT 1", "", "?"],
)
def test_a_statement_that_does_not_read_is_refused(store: Trials, statement: str) -> None:
    with pytest.raises(BadInput, match="a store is only read"):
        query(store, statement)
    assert query(store, "SELECT count(*) AS n FROM trials").collect().item() == 3


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT curv FROM results", "\"curv\", did you mean 'curve'?"),
        ("SELECT r.densty FROM results r", "'densty' found in table 'r', did you mean 'density'?"),
        ("SELECT * FROM trails", "'trails' was not found, did you mean 'trials'?"),
        ("SELECT max_by(lr, epoch) FROM epochs", "unsupported function 'max_by'. Tables:"),
        ("SELECT curve FROM", "sql parser error"),
        ("SELECT 1; SELECT 2", "one (and only one) statement"),
    ],
)
def test_a_mistake_names_what_is_near_and_the_tables(store: Trials, statement: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        query(store, statement).collect()
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"Tables: {', '.join(TABLES)}; --tables lists their columns")
    assert "\n" not in str(caught.value)


def test_a_mistake_that_shows_in_rows_has_words_too(store: Trials) -> None:
    rows = query(store, "SELECT curve FROM results WHERE density = 'a'")
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        rows.collect()
    assert str(problem(store, caught.value)).startswith("cannot compare string with numeric type")


def test_tables_have_the_columns_that_are_read(store: Trials) -> None:
    found = columns(store)
    assert list(found) == list(TABLES)
    assert found["epochs"]["test_accuracy"] == "Float64"
    assert {"curve", "outcome", "store"} <= set(found["results"])


def test_an_empty_place_has_every_column(tmp_path: Path) -> None:
    assert query(scan(tmp_path), "SELECT curve, final_test_accuracy FROM results").collect().is_empty()
