"""`query` and `export` as a user types them, on folders and on a bucket."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pytest

from analysis import tidy
from analysis.scan import scan
from orchestrator.store.layout import Store
from tests.analysis.conftest import StoreBuilder
from tests.orchestrator.conftest import CommandLine


def filled(root: Path | str, name: str = "t") -> str:
    """Two completed trials, a diverged and a failed one."""
    builder = StoreBuilder(root)  # type: ignore[arg-type]
    builder.both(f"{name}0", point={"pruner": "snip"}, final_test_accuracy=0.5, layers={"a": (10, 3)})
    builder.both(f"{name}1", point={"seed": 1}, final_test_accuracy=0.75, layers={"a": (10, 0)})
    builder.both(f"{name}2", point={"seed": 2}, final_test_loss=float("nan"))
    builder.both(f"{name}3", point={"seed": 3}, error=("ValueError", "with, comma"))
    builder.write()
    Store(root).publish_text("# made up\n", "sweeps", "h1.yaml")
    return str(root)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return filled(tmp_path / "store")


ACCURACY = "SELECT trial_id, final_test_accuracy FROM results WHERE outcome = 'completed' ORDER BY trial_id"


def test_a_query_prints_a_table_and_says_how_many_rows(prunesweep: CommandLine, store: str) -> None:
    done = prunesweep("query", store, ACCURACY)
    assert done.stdout.split() == ["trial_id", "final_test_accuracy", "t0", "0.5", "t1", "0.75"]
    assert done.stderr.strip() == "2 rows"


def test_a_wide_result_is_shown_row_by_row(prunesweep: CommandLine, store: str) -> None:
    lines = prunesweep("query", store, "SELECT * FROM trials ORDER BY trial_id LIMIT 2").stdout.splitlines()
    assert lines[0].strip() == "row 1"
    assert ["trial_id", "t0"] in [line.split() for line in lines]
    assert ["trial_id", "t1"] in [line.split() for line in lines]


def test_the_table_stops_at_a_hundred_rows_and_says_so(prunesweep: CommandLine, tmp_path: Path) -> None:
    builder = StoreBuilder(tmp_path / "many")
    for seed in range(101):
        builder.point(f"t{seed:03}", seed=seed)
    Store(builder.write()).publish_text("# made up\n", "sweeps", "h1.yaml")
    done = prunesweep("query", str(builder.root), "SELECT trial_id FROM points ORDER BY trial_id")
    assert (len(done.stdout.splitlines()), "t099" in done.stdout, "t100" in done.stdout) == (101, True, False)
    assert "100 rows; there are more: --csv and --parquet FILE give all" in done.stderr
    every = prunesweep("query", str(builder.root), "SELECT trial_id FROM points", "--csv").stdout
    assert len(every.splitlines()) == 102


def test_csv_json_and_parquet_hold_the_same_rows(prunesweep: CommandLine, store: str, tmp_path: Path) -> None:
    expected = [("t0", 0.5), ("t1", 0.75)]
    assert pl.read_csv(io.StringIO(prunesweep("query", store, ACCURACY, "--csv").stdout)).rows() == expected
    assert json.loads(prunesweep("query", store, ACCURACY, "--json").stdout) == [
        {"trial_id": name, "final_test_accuracy": value} for name, value in expected
    ]
    prunesweep("query", store, ACCURACY, "--parquet", "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").rows() == expected


def test_json_says_null_for_what_is_not_a_number(prunesweep: CommandLine, store: str) -> None:
    done = prunesweep("query", store, "SELECT final_test_loss AS x FROM trials WHERE trial_id = 't2'", "--json")
    assert json.loads(done.stdout) == [{"x": None}]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT curv FROM results", "did you mean 'curve'?"),
        ("SELECT curve FROM results WHERE density = 'a'", "cannot compare string with numeric type"),
        ("DROP TABLE trials", "a store is only read"),
    ],
)
def test_a_mistake_is_exit_2_and_one_sentence(prunesweep: CommandLine, store: str, statement: str, said: str) -> None:
    done = prunesweep("query", store, statement, check=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_what_is_asked_wrongly_is_exit_2(prunesweep: CommandLine, store: str, tmp_path: Path) -> None:
    assert "a statement" in prunesweep("query", store, check=2).stderr
    assert "choose one" in prunesweep("query", store, ACCURACY, "--csv", "--json", check=2).stderr
    assert "holds no sweep" in prunesweep("query", str(tmp_path / "no"), ACCURACY, check=2).stderr
    assert "expected DIR and FILE" in prunesweep("export", store, check=2).stderr
    assert "did you mean '.parquet'?" in prunesweep("export", store, "x.parqet", check=2).stderr
    assert "there is no folder" in prunesweep("export", store, "no/x.csv", check=2).stderr


def test_tables_lists_columns_with_their_types(prunesweep: CommandLine, store: str) -> None:
    text = prunesweep("query", store, "--tables").stdout
    assert ["test_accuracy", "Float64"] in [line.split() for line in text.splitlines()]
    found = json.loads(prunesweep("query", store, "--tables", "--json").stdout)
    assert found["layers"]["kept"] == "Int64"


def test_a_file_of_another_kind_in_a_table_is_named_with_its_column(prunesweep: CommandLine, store: str) -> None:
    Path(store, "epochs").mkdir()
    pl.DataFrame({"trial_id": ["x"], "epoch": ["one"]}).write_parquet(Path(store, "epochs", "notes.parquet"))
    said = prunesweep("query", store, ACCURACY, check=2).stderr
    assert "epochs/notes.parquet" in said.replace("\n", "")
    assert "has no column 'attempt_id'" in said.replace("\n", " ")
    assert "column 'epoch' is" in said.replace("\n", " ")


def test_export_writes_the_tidy_table_and_replaces_a_file(prunesweep: CommandLine, store: str, tmp_path: Path) -> None:
    expected = tidy.table(scan(store).results).collect()
    for _ in range(2):
        assert prunesweep("export", store, "all.parquet").stdout.strip() == "all.parquet"
    assert pl.read_parquet(tmp_path / "all.parquet").equals(expected)
    prunesweep("export", store, "all.csv")
    rows = pl.read_csv(tmp_path / "all.csv", infer_schema_length=None)
    assert rows.columns == tidy.COLUMNS
    assert rows.select("trial_id", "outcome", "error_message").rows() == [
        ("t0", "completed", None), ("t1", "completed", None), ("t2", "diverged", None), ("t3", "failed", "with, comma"),
    ]  # fmt: skip
    assert not list(tmp_path.glob(".*")), "nothing unfinished is left"


def test_several_stores_answer_as_one_also_a_bucket(
    prunesweep: CommandLine, store: str, bucket: str, tmp_path: Path
) -> None:
    filled(f"{bucket}/sweep", "remote")
    both = (store, f"{bucket}/sweep")
    counts = "SELECT store, count(*) AS n FROM trials GROUP BY store ORDER BY store"
    rows = json.loads(prunesweep("query", *both, counts, "--json").stdout)
    assert sorted((row["store"], row["n"]) for row in rows) == sorted((one, 4) for one in both)
    kept = "SELECT l.kept AS kept FROM results r JOIN layers l ON r.trial_id = l.trial_id ORDER BY kept"
    assert [row["kept"] for row in json.loads(prunesweep("query", *both, kept, "--json").stdout)] == [0, 0, 3, 3]
    prunesweep("export", *both, "both.parquet")
    assert pl.read_parquet(tmp_path / "both.parquet").height == 8
