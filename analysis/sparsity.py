"""How is a density read? As the sparsity people quote, with as many nines as it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable


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
