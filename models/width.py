"""Models of the same family with uniformly narrower layers: `width_factor`, an option of every family of ours."""

from __future__ import annotations

import math


def scaled(width: int, factor: float) -> int:
    """Channels or units of a layer that has `width` of them at factor 1: the nearest whole number, at least 1.

    Raises ValueError for a factor that is no positive number, and for a layer that has no channel to begin with.
    """
    if width < 1:
        raise ValueError(f"width {width}: expected at least 1 channel or unit in a layer")
    is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not is_number or not math.isfinite(factor) or factor <= 0:
        raise ValueError(f"width_factor {factor!r}: expected a number above 0; 1 is the published width")
    return max(1, round(width * factor))
