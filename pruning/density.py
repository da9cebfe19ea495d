"""Exact densities: the literal a person wrote becomes one decimal, and a decimal becomes a count of weights.

Binary floats disagree about the same sparsity (`1 - 0.9 != 0.1`), and near a tie that moves a weight.
Decimals of 12 significant digits do not, so `sparsity: 0.9` and `compression_exponent: 1` are one density.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Literal

SIGNIFICANT_DIGITS = 12

DensityUnit = Literal["density", "sparsity", "compression_ratio", "compression_exponent"]


def canonical_density(unit: DensityUnit, value: float | int | str | Decimal) -> Decimal:
    """Density (fraction of prunable weights kept, in (0, 1]) of a value given in any of the field's units.

    >>> canonical_density("sparsity", 0.9) == canonical_density("compression_exponent", 1)
    True
    >>> canonical_density("compression_exponent", 0.5)
    Decimal('0.316227766017')

    Raises ValueError where the density would not lie in (0, 1].
    """
    # str() of a float is the shortest literal that reads back as that float: what the person wrote.
    try:
        literal = Decimal(str(value))
    except InvalidOperation:
        literal = Decimal("NaN")
    if not literal.is_finite():
        raise ValueError(f"{unit} {value} is not a finite number")
    with localcontext() as context:
        context.prec = SIGNIFICANT_DIGITS + 16
        if unit == "sparsity":
            density = 1 - literal
        elif unit == "compression_ratio":
            density = 1 / literal if literal else Decimal("Infinity")
        elif unit == "compression_exponent":
            density = Decimal(10) ** -literal if literal >= 0 else Decimal("Infinity")
        else:
            density = literal
    if not 0 < density <= 1:
        raise ValueError(f"{unit} {value}: {_expected_range(unit, literal)}")
    with localcontext() as context:
        context.prec = SIGNIFICANT_DIGITS
        return (+density).normalize()


def kept_count(density: Decimal, num_weights: int) -> int:
    """Weights kept of `num_weights`: density x num_weights rounded half to even, exactly.

    >>> kept_count(Decimal("0.5"), 5), kept_count(Decimal("0.5"), 7)
    (2, 4)
    """
    with localcontext() as context:
        context.prec = 60  # 12 digits x any count that fits a machine word: the product is exact
        return int((density * num_weights).to_integral_value(rounding=ROUND_HALF_EVEN))


def _expected_range(unit: DensityUnit, value: Decimal) -> str:
    if unit == "sparsity":
        hint = f"; did you mean {(value / 100).normalize():f}?" if 1 < value < 100 else ""
        return f"sparsity is the fraction removed and lies in [0, 1){hint}"
    if unit == "density":
        hint = f"; did you mean {(value / 100).normalize():f}?" if 1 < value <= 100 else ""
        return f"density is the fraction kept and lies in (0, 1]{hint}"
    if unit == "compression_ratio":
        return "compression_ratio is 1 / density and is at least 1"
    return "compression_exponent is log10(1 / density) and is at least 0"
