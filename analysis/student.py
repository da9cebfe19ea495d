"""Student's t, column by column: quantiles and p-values of any number of rows in one call of scipy.special.

scipy.stats would say the same, and takes longer to import than all of this package.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special


def quantile(freedom: pl.Expr, confidence: pl.Expr | float) -> pl.Expr:
    """The t that bounds a two-sided interval of `confidence` (a fraction); null where `freedom` is below 1."""
    level = confidence if isinstance(confidence, pl.Expr) else pl.lit(confidence)
    found = pl.struct(freedom.cast(pl.Float64).alias("freedom"), level.alias("level")).map_batches(
        lambda rows: _series(
            special.stdtrit(rows.struct.field("freedom").to_numpy(), 0.5 + rows.struct.field("level").to_numpy() / 2)
        ),
        return_dtype=pl.Float64,
    )
    return pl.when(freedom >= 1).then(found)


def p_value(statistic: pl.Expr, freedom: pl.Expr) -> pl.Expr:
    """How often |t| is at least as large where there is no difference; null where `freedom` is below 1."""
    found = pl.struct(freedom.cast(pl.Float64).alias("freedom"), statistic.abs().alias("t")).map_batches(
        lambda rows: _series(
            2 * special.stdtr(rows.struct.field("freedom").to_numpy(), -rows.struct.field("t").to_numpy())
        ),
        return_dtype=pl.Float64,
    )
    return pl.when(freedom >= 1).then(found)


def _series(values: npt.NDArray[np.float64]) -> pl.Series:
    return pl.Series(values, dtype=pl.Float64).fill_nan(None)
