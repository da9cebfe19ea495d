"""An agreement table for people: seven columns, as text or as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

HEADINGS = ("point", "measure", "ours", "seeds", "theirs", "difference", "verdict")
NUMBERS = ("ours", "seeds", "theirs", "difference")


def in_words(judged: pl.DataFrame) -> list[tuple[str, ...]]:
    """Rows of an agreement table as texts, by `HEADINGS`; a mean has its range behind it where seeds differ."""
    return [
        (
            row["point"],
            row["measure"],
            _range(row, "ours"),
            str(row["seeds"]),
            _range(row, "theirs"),
            _number(row["difference"]),
            row["verdict"] + (f": {row['cause']}" if row["cause"] else ""),
        )
        for row in judged.iter_rows(named=True)
    ]


def markdown(judged: pl.DataFrame) -> str:
    """The table in Markdown."""
    ruler = ["---:" if name in NUMBERS else "---" for name in HEADINGS]
    rows = [HEADINGS, ruler, *([cell.replace("|", "\\|") for cell in row] for row in in_words(judged))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _range(row: Mapping[str, Any], side: str) -> str:
    low, high = row[f"{side}_low"], row[f"{side}_high"]
    mean = _number(row[side])
    return mean if low == high else f"{mean} ({_number(low)} to {_number(high)})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
