"""One quantity has one decimal, and a decimal one count, exactly."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.density import canonical_density, kept_count

# Numerators over powers of ten: what a person writes, at most 12 significant digits.
literals = st.integers(1, 12).flatmap(
    lambda digits: st.integers(1, 10**digits).map(lambda n: Decimal(n).scaleb(-digits))
)


@given(literals.filter(lambda density: density < 1))
def test_density_and_sparsity_of_one_quantity_are_one_decimal(density: Decimal) -> None:
    sparsity = 1 - density
    expected = canonical_density("density", str(density))
    assert expected == density
    assert canonical_density("sparsity", str(sparsity)) == expected
    assert canonical_density("sparsity", sparsity) == expected


@given(st.integers(1, 9999))
def test_float_literals_mean_what_was_written(per_ten_thousand: int) -> None:
    density = Decimal(per_ten_thousand) / 10_000
    assert canonical_density("density", per_ten_thousand / 10_000) == density
    assert canonical_density("sparsity", float(1 - density)) == density


@given(st.integers(0, 20), st.integers(0, 8))
def test_compression_ratio_and_density_of_one_quantity_are_one_decimal(twos: int, fives: int) -> None:
    ratio = 2**twos * 5**fives
    density = Fraction(1, ratio)
    canonical = canonical_density("compression_ratio", ratio)
    assert abs(Fraction(canonical) - density) <= density * Fraction(1, 2 * 10**11)
    if ratio <= 4096:  # 1 / ratio has at most 12 digits after the point
        assert canonical == canonical_density("density", 1 / ratio) == canonical_density("sparsity", 1 - 1 / ratio)


@given(st.integers(0, 11))
def test_every_unit_agrees_on_powers_of_ten(exponent: int) -> None:
    density = Decimal(1).scaleb(-exponent)
    assert canonical_density("compression_exponent", exponent) == density
    assert canonical_density("compression_exponent", float(exponent)) == density
    assert canonical_density("compression_ratio", 10**exponent) == density
    assert canonical_density("density", 10.0**-exponent) == density
    assert canonical_density("sparsity", str(1 - density)) == density


@given(st.integers(0, 6000))
def test_exponents_are_rounded_to_twelve_significant_digits(thousandths: int) -> None:
    canonical = canonical_density("compression_exponent", thousandths / 1000)
    assert len(canonical.as_tuple().digits) <= 12
    assert float(canonical) == pytest.approx(10 ** (-thousandths / 1000), rel=1e-11)


@pytest.mark.parametrize("text", ["0.1", "0.10", "1e-1", "10E-2", " 0.1 "])
def test_spellings_of_one_number_are_one_text(text: str) -> None:
    assert str(canonical_density("density", text)) == "0.1"


@given(density=literals, num_weights=st.integers(0, 10**12))
def test_kept_count_is_the_exact_product_rounded_half_to_even(density: Decimal, num_weights: int) -> None:
    assert kept_count(density, num_weights) == round(Fraction(density) * num_weights)


@given(odd=st.integers(0, 10**9), twice=st.integers(0, 6))
def test_kept_count_rounds_exact_halves_to_even(odd: int, twice: int) -> None:
    num_weights = (2 * odd + 1) * 2**twice
    density = Decimal(1) / 2 ** (twice + 1)
    half = Fraction(2 * odd + 1, 2)
    assert kept_count(density, num_weights) == round(half)
    assert kept_count(density, num_weights) % 2 == 0


def test_kept_count_does_not_follow_binary_floats() -> None:
    # 0.1 * 5 is exactly a half in decimals; 1 - 0.9 in floats is below it, 0.55 * 10 above.
    assert kept_count(canonical_density("sparsity", 0.9), 5) == 0
    assert kept_count(canonical_density("sparsity", 0.9), 15) == 2
    assert kept_count(canonical_density("density", 0.55), 10) == 6


@pytest.mark.parametrize(
    ("unit", "value", "message"),
    [
        ("sparsity", 95, r"sparsity 95: .*\[0, 1\); did you mean 0\.95\?"),
        ("sparsity", 99.99, r"sparsity 99\.99: .*did you mean 0\.9999\?"),
        ("sparsity", 1, r"sparsity 1: sparsity is the fraction removed and lies in \[0, 1\)$"),
        ("sparsity", 100, r"sparsity 100: .*\[0, 1\)$"),
        ("sparsity", -0.1, r"sparsity -0\.1: .*\[0, 1\)$"),
        ("density", 0, r"density 0: density is the fraction kept and lies in \(0, 1\]$"),
        ("density", 5, r"density 5: .*did you mean 0\.05\?"),
        ("density", -1, r"density -1: .*\(0, 1\]$"),
        ("compression_ratio", 0, r"compression_ratio 0: .*at least 1"),
        ("compression_ratio", 0.5, r"compression_ratio 0\.5: .*at least 1"),
        ("compression_ratio", -10, r"compression_ratio -10: .*at least 1"),
        ("compression_exponent", -1, r"compression_exponent -1: .*at least 0"),
        ("compression_exponent", -1e10, r"compression_exponent -10000000000\.0: .*at least 0"),
        ("density", float("nan"), r"density nan is not a finite number"),
        ("compression_ratio", float("inf"), r"compression_ratio inf is not a finite number"),
        ("sparsity", "high", r"sparsity high is not a finite number"),
        ("sparsity", True, r"sparsity True is not a finite number"),
        ("sparsity", "", r"sparsity  is not a finite number"),
    ],
)
def test_values_out_of_range_are_refused_with_the_value_and_a_remedy(unit: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        canonical_density(unit, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "value"), [("density", 1), ("sparsity", 0), ("compression_ratio", 1), ("compression_exponent", 0)]
)
def test_the_dense_network_is_in_range(unit: str, value: int) -> None:
    assert canonical_density(unit, value) == 1  # type: ignore[arg-type]
