"""The horizontal axis of every chart: compression in decades, read as sparsity."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import altair as alt


def sparsity_axis(densities: Iterable[float]) -> alt.X:
    """The x channel of `compression_ratio`, labelled with sparsities: decades, or 50, 80, 90 % ... if there are few."""
    largest = max((1 / density for density in densities), default=1.0)
    decades = math.log10(largest)
    ticks = [10 ** (half / 2) for half in range(math.floor(2 * decades + 1e-9) + 1)]  # half-decades: grid lines only
    if decades < 2 - 1e-9:
        ticks = [value for value in (1, 2, 5, 10, 20, 50) if value <= largest * (1 + 1e-9)]
    labelled = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6" if decades >= 2 - 1e-9 else "true"
    decimals = "max(0, ceil(log(datum.value) / LN10 - 1e-6) - 2)"
    axis: dict[str, Any] = {
        "values": ticks,
        "labelExpr": f"{labelled} ? format(100 - 100 / datum.value, '.' + {decimals} + 'f') + ' %' : ''",
        "labelOverlap": "parity",
        "labelFlush": False,
        "tickSize": 0,
        "labelPadding": 6,
    }
    return alt.X(
        "compression_ratio:Q",
        title="sparsity: weights removed",
        axis=alt.Axis(**axis),
        scale=alt.Scale(type="log", domain=[1, max(largest, 1.5)], nice=False),
    )


def decade_ticks(values: Iterable[float]) -> list[float]:
    """Ticks of a logarithmic axis that holds `values`: decades; 1, 2 and 5 of each where there are few.

    >>> decade_ticks([3, 40])
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
    """
    found = [math.log10(value) for value in values if value > 0]
    if not found:
        return []
    steps = (1, 2, 5) if max(found) - min(found) < 2.5 else (1,)
    decades = range(math.floor(min(found)), math.ceil(max(found)) + 1)
    return [step * 10.0**decade for decade in decades for step in steps]
