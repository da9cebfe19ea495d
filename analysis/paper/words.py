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


def with_notes(judged: pl.DataFrame) -> tuple[list[tuple[str, ...]], list[str]]:
    """The same with each cause once, below: "not comparable (1)", and what (1) is. Many rows share a long cause."""
    causes = {
        cause: f"({number})" for number, cause in enumerate(judged["cause"].drop_nulls().unique(maintain_order=True), 1)
    }
    noted = [
        " ".join(filter(None, (verdict, causes.get(cause)))) for verdict, cause in judged["verdict", "cause"].rows()
    ]
    rows = judged.with_columns(verdict=pl.Series(noted, dtype=pl.String), cause=pl.lit(None, pl.String))
    return in_words(rows), [f"{note} {cause}" for cause, note in causes.items()]


def listed(judged: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The rows that are listed for people, and how many published points are not: those without a result of ours.

    A scale may answer a few of hundreds of published points. The second is "" where it answers all.
    """
    is_unanswered = pl.col("ours").is_null() & pl.col("theirs").is_not_null()
    rows = judged.filter(~is_unanswered)
    count = judged.height - rows.height
    has = "point has" if count == 1 else "points have"
    return rows, f"{count} published {has} no result here" if count else ""


def markdown(judged: pl.DataFrame) -> str:
    """The rows that are listed in Markdown, and below them what is not."""
    rows, unanswered = listed(judged)
    ruler = ["---:" if name in NUMBERS else "---" for name in HEADINGS]
    cells = [HEADINGS, ruler, *([cell.replace("|", "\\|") for cell in row] for row in in_words(rows))]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells) + (f"\n{unanswered}.\n" if unanswered else "")


def _range(row: Mapping[str, Any], side: str) -> str:
    low, high = row[f"{side}_low"], row[f"{side}_high"]
    mean = _number(row[side])
    return mean if low == high else f"{mean} ({_number(low)} to {_number(high)})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
