"""How is a density read? As the sparsity people quote, on an axis that gives every decade of compression its room."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import altair as alt


def sparsity_texts(densities: Iterable[float]) -> dict[float, str]:
    """Each density as a sparsity in per cent, with no more digits than keep all of them apart.

    >>> sparsity_texts([1.0, 0.1, 10**-1.5, 0.0001])
    {1.0: '0 %', 0.1: '90 %', 0.03162277660168379: '96.8 %', 0.0001: '99.99 %'}
    """
    distinct = list(dict.fromkeys(densities))
    for digits in range(2, 17):
        texts = {density: sparsity_text(density, digits) for density in distinct}
        if len(set(texts.values())) == len(distinct):
            break
    return texts if distinct else {}


def sparsity_text(density: float, digits: int = 2) -> str:
    """1 - density in per cent, to `digits` significant digits of the density: the nines are what matters."""
    decimals = max(0, digits - 3 - math.floor(math.log10(density) + 1e-9))
    text = f"{100 * (1 - density):.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


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
