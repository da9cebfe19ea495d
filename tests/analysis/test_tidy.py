"""One tidy table: every point with its trial, also those that did not answer."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import tidy
from analysis.scan import scan


def test_every_point_has_a_row_whatever_became_of_it(builder: Any) -> None:
    builder.point("dense", pruner="snip", density=1.0)
    builder.point("dense", pruner="synflow", density=1.0)
    builder.trial("dense", final_test_accuracy=0.75)
    builder.both("d", point={"seed": 1}, final_test_loss=float("nan"), final_test_accuracy=0.1)
    builder.both("f", point={"seed": 2}, error=("ValueError", "no"))
    builder.point("m", seed=3)
    rows = tidy.table(scan(builder.write()).results).collect()
    assert rows.columns == tidy.COLUMNS
    shown = rows.select("curve", "sparsity", "compression_ratio", "seed_init", "outcome", "error_type")
    assert shown.with_columns(pl.col("compression_ratio").round(9)).rows() == [
        ("snip", 0.0, 1.0, 0, "completed", None),
        ("synflow", 0.9, 10.0, 1, "diverged", None),
        ("synflow", 0.9, 10.0, 2, "failed", "ValueError"),
        ("synflow", 0.9, 10.0, 3, "missing", None),
        ("synflow", 0.0, 1.0, 0, "completed", None),
    ]
    assert rows["final_test_accuracy"].to_list() == [0.75, 0.1, None, None, 0.75]


def test_lists_and_bytes_become_text() -> None:
    rows = pl.LazyFrame({"shape": [[2, 3], []], "bits": [b"\x0f\xa0", None], "n": [1, 2]})
    assert tidy.flat(rows).collect().rows() == [("2 3", "0fa0", 1), ("", None, 2)]
