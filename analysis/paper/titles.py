"""What stands above a panel: what it shows, and below that on which data and in what it is not as published."""

from __future__ import annotations

import json

import altair as alt
import polars as pl

from analysis.paper.setting import Setting


def titled(title: str, rows: pl.DataFrame, setting: Setting) -> alt.TitleParams:
    """The title of a panel; below, a line each, the data sets of its rows, and models and epochs that differ.

    `rows` have the columns of `setting.COLUMNS`.
    """
    models = [one for one in _distinct(rows, "model", "model_options") if one != (setting.model, "{}")]
    epochs = rows["epochs"].unique().sort().to_list()
    lines = [_in_words(*one) for one in (*_distinct(rows, "dataset", "dataset_options"), *models)]
    if setting.epochs is not None and epochs not in ([], [setting.epochs]):
        lines.append(f"{' and '.join(map(str, epochs))} epochs")
    return alt.TitleParams(title, subtitle=lines)


def _distinct(rows: pl.DataFrame, name: str, options: str) -> list[tuple[str, str]]:
    return rows.select(name, options).unique(maintain_order=True).rows()


def _in_words(name: str, options: str) -> str:
    """A data set or model with its options, as for "blank, num_classes 10, shape 3x32x32"."""
    values = {
        key: "x".join(map(str, one)) if isinstance(one, list) else one for key, one in json.loads(options).items()
    }
    return ", ".join([name, *(f"{key} {value}" for key, value in values.items())])
