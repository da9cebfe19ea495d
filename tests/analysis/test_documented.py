"""What docs/analysis.md and docs/store.md show works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analysis.query import query
from analysis.scan import scan

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"
STORE_PAGE = PAGE.with_name("store.md").read_text(encoding="utf-8")
ATTEMPTS, LEVELS = re.findall(r"^```sql\n(.*?)^```$", STORE_PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("Accuracy", {"choices": "num_tied", "accuracies": "chosen"}),
        ("Rounds", {"intervals": "median_low", "beginnings": "relative_depth", "useful": "useful_share",
                    "diagrams": "mean_largest_cut", "law": "refused", "rows": "law_rounds"}),
    ],
)  # fmt: skip
def test_the_summaries_of_accuracy_and_collapse(realistic, tmp_path, monkeypatch, section, expected):
    text = PAGE.read_text(encoding="utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace("results/my-sweep", str(realistic)), names)
    for name, column in expected.items():
        assert not names[name].is_empty()
        assert column in names[name].columns


def test_the_summaries_of_training_masks_and_cost(realistic, tmp_path, monkeypatch: pytest.MonkeyPatch):
    section = PAGE.read_text(encoding="utf-8").partition("## Training, masks and cost")[2]
    (code,) = re.findall(r"^```python\n(.*?)^```$", section.partition("\n## ")[0], flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace("results/my-sweep", str(realistic)), names)
    tables = [one.collect() for one in names.values() if isinstance(one, pl.LazyFrame)]
    assert len(tables) == 8
    assert {"curve", "is_on_front"} <= set(names["fronts"].columns)
    assert (tmp_path / "pareto.html").stat().st_size > 1000
    for name, columns in {
        "agreement": {"num_pairs", "chance", "chance_by_layer", "excess"},
        "hours": {"num_untimed"},
        "faster": {"num_disconnected"},
    }.items():
        assert columns <= set(names[name].collect_schema().names())


def test_the_query_of_the_analysis_page_answers(realistic):
    (statement,) = re.findall(r'prunesweep query \S+ "(.*?)"$', PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    answer = query(scan(realistic), statement).collect()
    assert answer.columns == ["curve", "density", "n", "accuracy"]
    assert answer["n"].max() == 10  # five seeds on two models


def test_another_tool_finds_the_rows_that_count_by_the_statement_of_the_store_page(builder):
    builder.trial("t1", attempt=1, attempt_id="b")
    builder.trial("t1", attempt=2, attempt_id="a")
    builder.trial("t2", attempt=1, attempt_id="c")
    store = builder.write()
    files = pl.read_parquet(store / "trials" / "*.parquet")
    assert files.height == 3
    counted = pl.SQLContext(trials=files).execute(ATTEMPTS, eager=True)
    columns = ["trial_id", "attempt_id"]
    assert sorted(counted.select(columns).rows()) == sorted(scan(store).trials.select(columns).collect().rows())


def test_the_statement_about_levels_has_the_last_epoch_of_each(builder):
    rows = [(0, 1, 0.1), (0, 2, 0.2), (1, 1, 0.3), (1, 2, 0.25)]
    epochs = [{"level": level, "epoch": epoch, "test_accuracy": accuracy} for level, epoch, accuracy in rows]
    builder.trial("t1", epochs=epochs)
    answer = query(scan(builder.write()), LEVELS.replace("...", "t1")).collect()
    assert answer.rows() == [(0, 2, 0.2), (1, 2, 0.25)]


def test_the_tables_of_diagnostics_are_those_of_the_store_page(builder):
    rounds = [
        {"density": 0.1, "kept": 10, "score_cut": 0.5, "flow": 2.0, "layer_deviation": 0.0, "collapsed_layers": 0}
    ]
    builder.both("t1", point={"density": 0.1}, density=0.1, layers={"one": (100, 10)}, rounds=rounds)
    (code,) = re.findall(r"^```python\n(.*?)^```$", STORE_PAGE, flags=re.MULTILINE | re.DOTALL)
    *setup, one, two, three, four = code.replace("results/my-sweep", str(builder.write())).splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(setup), names)
    for line in (one, two, three, four):
        call, _, said = line.partition("  # ")
        table = eval(call, names).lazy().collect()
        promised = {word for word in re.findall(r"\w+", said) if "_" in word}
        assert promised <= set(table.columns), line
        assert table.height, line
