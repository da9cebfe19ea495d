"""Can a tenth of a sweep predict the rest? The joint law, fitted to few points and held against all others.

Which tenth: the usable points of a family are put in order of density, then width, then depth, and cut into equal
stretches, as many as points are to be fitted; from each, a generator of seed 0 draws one. So the few span the densities,
and anyone draws the same. Where a tenth is less than the law can be fitted to, that many are drawn (`num_fitted` says
so); where fewer would then be held out than fitted, nothing is predicted.

An interval is for one new mean of as many trials: it holds the scatter of the fitted points around the law and the
uncertainty of the constants. Its coverage, the share of held-out means inside, should be near 95 %.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import altair as alt
import numpy as np
import polars as pl

from analysis.accuracy import CONFIDENCE
from analysis.laws import joint
from analysis.laws.points import FAMILY
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts

SHARE = 0.1
"""Of a family's points that are fitted."""
SEED = 0

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(FAMILY, pl.String),
    "num_points": pl.Int64,
    "num_fitted": pl.Int64,
    "num_predicted": pl.Int64,
    "mean_relative_error": pl.Float64,
    "deviation_relative_error": pl.Float64,
    "largest_relative_error": pl.Float64,
    "num_inside": pl.Int64,
    "coverage": pl.Float64,
    "refused": pl.String,
}
_POINT = ["dataset_label", "family", "training_label", "curve", "model_label", "width", "depth", "density", "n"]
_PREDICTED = ["measured_error", "predicted_error", "predicted_low", "predicted_high", "relative_error", "is_inside"]


def predictions(points: pl.DataFrame) -> pl.DataFrame:
    """Every held-out point of a collected `points.table`, by family, dense to sparse.

    `measured_error` is the mean of `n` trials; `predicted_error` is the law's, with its 95 % interval `predicted_low`
    to `predicted_high`, `relative_error` = predicted / measured - 1, `is_inside` whether the interval holds the measured.
    """
    held_out = [rows for members in points.partition_by(FAMILY, maintain_order=True) for rows in _attempt(members)]
    columns = points.lazy().select(_POINT).collect_schema() | dict.fromkeys(_PREDICTED, pl.Float64)
    return pl.concat([pl.DataFrame(schema=columns | {"is_inside": pl.Boolean}), *held_out]).sort(
        *FAMILY, "density", "width", "depth", descending=[False] * len(FAMILY) + [True, False, False]
    )


def table(points: pl.DataFrame) -> pl.DataFrame:
    """One row a family: how well `num_fitted` of its `num_points` predict the other `num_predicted`.

    Mean, standard deviation and largest absolute value of the relative error, the measure of the paper; `coverage` =
    `num_inside` / `num_predicted`. `refused` says why nothing was predicted.
    """
    rows = []
    for family, members in points.partition_by(FAMILY, as_dict=True, maintain_order=True).items():
        row: dict[str, Any] = dict(zip(FAMILY, family, strict=True)) | {"num_points": joint.usable(members).height}
        try:
            held_out = predict(members)
        except ValueError as reason:
            rows.append(row | {"refused": str(reason)})
            continue
        relative = held_out["relative_error"]
        row |= {
            "num_fitted": row["num_points"] - held_out.height,
            "num_predicted": held_out.height,
            "mean_relative_error": relative.mean(),
            "deviation_relative_error": relative.std(),
            "largest_relative_error": relative.abs().max(),
            "num_inside": held_out["is_inside"].sum(),
            "coverage": held_out["is_inside"].mean(),
        }
        rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA).sort(FAMILY)


def predict(points: pl.DataFrame) -> pl.DataFrame:
    """The held-out points of one family. Raises ValueError, saying why, where the law cannot be fitted to the others."""
    ordered = joint.usable(points).sort("density", "width", "depth", descending=[True, False, False])
    fewest = joint.fewest_points(ordered)
    num_fitted = max(math.ceil(SHARE * ordered.height), fewest)
    if ordered.height < 2 * num_fitted:
        raise ValueError(
            f"{ordered.height} points: {num_fitted} are needed for a fit, and as many to hold against it"
        )
    generator = np.random.default_rng(SEED)
    drawn = [generator.choice(stretch) for stretch in np.array_split(np.arange(ordered.height), num_fitted)]
    is_fitted = np.isin(np.arange(ordered.height), drawn)
    law = joint.fit(ordered.filter(is_fitted))
    held_out = ordered.filter(~is_fitted)
    error, low, high = law.predict(joint.Networks.of(held_out))
    measured = pl.col("error")
    return held_out.select(
        *_POINT,
        measured.alias("measured_error"),
        predicted_error=pl.Series(error),
        predicted_low=pl.Series(low),
        predicted_high=pl.Series(high),
    ).with_columns(
        relative_error=pl.col("predicted_error") / pl.col("measured_error") - 1,
        is_inside=pl.col("measured_error").is_between("predicted_low", "predicted_high"),
    )


def _attempt(points: pl.DataFrame) -> list[pl.DataFrame]:
    try:
        return [predict(points)]
    except ValueError:
        return []  # `table` says why
