"""Published numbers, as they lie in `published/` with their source."""

from __future__ import annotations

import io
from importlib.resources import files

import polars as pl

FOLDER = files("analysis") / "paper" / "published"


def published(name: str) -> pl.DataFrame:
    """A file of `published/`, CSV or Parquet; whole numbers in a column of fractions are fractions."""
    content = io.BytesIO((FOLDER / name).read_bytes())
    if name.endswith(".parquet"):
        return pl.read_parquet(content)
    floats = [one for one in pl.read_csv(content).columns if one in ("compression_exponent", "critical_exponent")]
    content.seek(0)
    return pl.read_csv(content, schema_overrides=dict.fromkeys(floats, pl.Float64))
