"""Numbers as text for the tables of the report. What is not known is a dash."""

from __future__ import annotations

import math
from typing import Any

from analysis.sparsity import sparsity_texts

UNKNOWN = "–"


def as_text(value: Any) -> str:
    """Text as it is, a list joined, a truth as yes or no, a number with as many digits as it has."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def count(value: int | None) -> str:
    """12345 as 12,345; a mean of counts is rounded."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """A fraction in per cent, without the sign: 0.975 as 97.5."""
    return UNKNOWN if share is None else f"{100 * share:.1f}"


def points(difference: float | None) -> str:
    """A difference of fractions in percentage points, with its sign: -0.012 as −1.2."""
    return UNKNOWN if difference is None else f"{100 * difference:+.1f}".replace("-", "−")


def sparsity(fraction: float | None) -> str:
    """A sparsity with as many nines as it has: 0.999 as 99.9 %."""
    if fraction is None:
        return UNKNOWN
    return "100 %" if fraction >= 1 else next(iter(sparsity_texts([1 - fraction]).values()))


def of_density(density: float | None) -> str:
    """A density, read as sparsity: 0.001 as 99.9 %."""
    return UNKNOWN if density is None else next(iter(sparsity_texts([density]).values()))


def ratio(value: float | None) -> str:
    """A compression ratio or another factor: three digits, or all digits of a large one."""
    if value is None:
        return UNKNOWN
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"  # 999.99... is 1,000, not 1e+03


def number(value: float | None) -> str:
    """Three significant digits, or all digits of a large number."""
    if value is None:
        return UNKNOWN
    return (f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}").replace("-", "−")


def duration(seconds: float | None) -> str:
    """Seconds in the unit that people would use: 7200 as 2.0 h."""
    if seconds is None:
        return UNKNOWN
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.3g} s"
