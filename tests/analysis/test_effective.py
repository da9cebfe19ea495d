import pytest
import vl_convert

from analysis import effective
from analysis.report.section import VEGALITE
from analysis.scan import scan
from tests.analysis.drawn import drawn_rows


def fill(builder):
    """Three networks at density 0.1, one of them disconnected and one failed; both of density 0.01 disconnected."""
    for seed, (density, live, layers) in enumerate([(0.1, 0.1, 0), (0.1, 0.05, 0), (0.1, 0.0, 1)]):
        builder.both(
            f"a{seed}", point={"density": density, "seed": seed}, effective_density=live, collapsed_layers=layers
        )
    builder.both("failed", point={"density": 0.1, "seed": 3}, error=("ValueError", "no"))
    builder.point("missing", density=0.1, seed=4)
    for seed in range(2):
        builder.both(f"b{seed}", point={"density": 0.01, "seed": seed}, effective_density=0.0, collapsed_layers=1)
    return effective.table(scan(builder.write()).results).collect()


def test_what_no_path_uses_is_counted_out(builder):
    first, second = fill(builder).rows(named=True)
    assert (first["n"], first["num_disconnected"], first["num_collapsed"], first["num_absent"]) == (3, 1, 1, 2)
    # (0.1 + 0.05 + 0) / 3 = 0.05: half of the weights kept, twenty times compressed
    assert (first["mean_effective_density"], first["useful_share"]) == (pytest.approx(0.05), pytest.approx(0.5))
    assert (first["min_effective_density"], first["max_effective_density"]) == (0.0, 0.1)
    assert first["effective_compression_ratio"] == pytest.approx(20)
    assert (second["n"], second["mean_effective_density"], second["effective_compression_ratio"]) == (2, 0.0, None)


def test_a_row_without_the_column_is_absent_not_zero(builder):
    builder.both("a", point={}, effective_density=None)
    row = effective.table(scan(builder.write()).results).collect().row(0, named=True)
    assert (row["n"], row["num_absent"], row["mean_effective_density"], row["num_disconnected"]) == (0, 1, None, 0)


def test_the_chart_draws_connected_points_and_the_diagonal(builder):
    spec = effective.plot(fill(builder)).to_dict()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGALITE)
    assert svg.count('aria-roledescription="point"') == 1
    assert svg.count('aria-roledescription="line mark"') == 2  # a curve and the diagonal
    assert [row["effective_text"] for row in drawn_rows(spec)] == ["95 %"]
