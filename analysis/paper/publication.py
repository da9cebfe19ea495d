"""Published numbers, as they lie in `published/` with their source."""

from __future__ import annotations

import io
from importlib.resources import files

import polars as pl

FOLDER = files("analysis") / "paper" / "published"


def published(name: str) -> pl.DataFrame:
    """A file of `published/`, CSV or Parquet."""
    content = io.BytesIO((FOLDER / name).read_bytes())
    return pl.read_parquet(content) if name.endswith(".parquet") else pl.read_csv(content)
