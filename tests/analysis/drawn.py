"""What a chart draws: the rows that it carries as CSV (`analysis.inline_data`)."""

from __future__ import annotations

from typing import Any

import polars as pl


def drawn_rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows of a specification's data sets, those of literal values apart."""
    tables = [values for values in spec["datasets"].values() if isinstance(values, str)]
    return [row for text in tables for row in pl.read_csv(text.encode()).iter_rows(named=True)]
