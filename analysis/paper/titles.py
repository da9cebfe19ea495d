"""What stands above a panel: what it shows, and below that on which data."""

from __future__ import annotations

import json

import altair as alt
import polars as pl


def titled(title: str, rows: pl.DataFrame) -> alt.TitleParams:
    """The title of a panel, with the data sets of its rows below."""
    distinct = rows.select("dataset", "dataset_options").unique(maintain_order=True)
    return alt.TitleParams(title, subtitle=[_in_words(name, options) for name, options in distinct.iter_rows()])


def _in_words(name: str, options: str) -> str:
    """A data set with its options, as for "blank, num_classes 10, shape 3x32x32"."""
    values = {
        key: "x".join(map(str, one)) if isinstance(one, list) else one for key, one in json.loads(options).items()
    }
    return ", ".join([name, *(f"{key} {value}" for key, value in values.items())])
