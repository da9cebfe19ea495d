"""What the figures' tables have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

Tables = dict[str, pl.DataFrame]
"""Rows of a figure, by the name of the file that they are written to."""


def exponent() -> pl.Expr:
    """The compression exponent of `density` to six digits: a grid's literals again."""
    return pl.col("density").log10().abs().round(6)


def rows_of(rows: pl.DataFrame, keys: Sequence[str]) -> dict[tuple[Any, ...], pl.DataFrame]:
    """The rows of each combination of `keys`, in the order in which they first come."""
    return rows.partition_by(list(keys), as_dict=True, maintain_order=True)
