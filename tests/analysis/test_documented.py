"""What docs/analysis.md shows works."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"


def test_the_summaries_of_training_masks_and_cost(realistic, tmp_path, monkeypatch: pytest.MonkeyPatch):
    section = PAGE.read_text(encoding="utf-8").partition("## Training, masks and cost")[2]
    (code,) = re.findall(r"^```python\n(.*?)^```$", section.partition("\n## ")[0], flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
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
