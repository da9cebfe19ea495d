import pytest
import vl_convert

from analysis import first_empty
from analysis.report.section import VEGALITE
from analysis.scan import scan

FULL = {"in": (100, 9), "mid": (200, 9), "out": (50, 9)}


def network(builder, seed, kept_by_density, **point):
    """A network's trials: the weights kept of in, mid and out at each density."""
    for density, kept in kept_by_density.items():
        builder.both(
            f"{point}-{seed}-{density}",
            point={"density": density, "seed": seed, **point},
            layers={name: (size, weights) for (name, (size, _)), weights in zip(FULL.items(), kept, strict=True)},
            collapsed_layers=kept.count(0),
        )


def rows(builder, *columns):
    store = scan(builder.write())
    return first_empty.table(store.results, store.layers).select(*columns).collect().rows()


def test_only_the_first_collapse_of_a_network_counts(builder):
    network(builder, 0, {0.1: (9, 9, 9), 0.01: (9, 0, 9), 0.001: (0, 0, 0)})
    network(builder, 1, {0.1: (9, 0, 0), 0.01: (9, 9, 9), 0.001: (0, 9, 9)})
    network(builder, 2, {0.1: (9, 9, 9), 0.01: (9, 9, 9)})  # never collapses: no part in it
    assert rows(builder, "layer", "depth", "relative_depth", "n", "num_empty", "num_alone", "median_density") == [
        ("in", 0, 0.0, 2, 0, 0, None),
        ("mid", 1, 0.5, 2, 2, 1, pytest.approx(0.055)),  # (0.1 + 0.01) / 2
        ("out", 2, 1.0, 2, 1, 0, 0.1),
    ]


def test_what_is_no_layer_has_no_depth(builder):
    # positions as recorded have a gap where a bias stood: depth counts layers
    builder.both(
        "a",
        point={},
        layers={"in": (10, 0), "in.bias": (5, 0), "out": (10, 3)},
        is_layer={"in.bias": False},
        collapsed_layers=1,
    )
    assert rows(builder, "layer", "depth", "num_layers", "num_empty", "num_alone") == [
        ("in", 0, 2, 1, 1),
        ("out", 1, 2, 0, 0),
    ]


def test_a_network_of_one_layer_has_depth_zero(builder):
    builder.both("a", point={}, layers={"only": (10, 0)}, collapsed_layers=1)
    assert rows(builder, "relative_depth", "empty_share") == [(0.0, 1.0)]


def test_failed_and_missing_trials_and_trials_without_layers_have_no_part(builder):
    builder.both("failed", point={"density": 0.5}, error=("ValueError", "no"), layers={"in": (10, 0)})
    builder.point("missing", density=0.4)
    builder.both("bare", point={"density": 0.3, "seed": 1}, collapsed_layers=1)
    assert rows(builder, "layer") == []
    network(builder, 2, {0.1: (0, 9, 9)})
    assert rows(builder, "layer", "n", "num_empty")[0] == ("in", 1, 1)


def test_a_network_trained_in_two_ways_counts_once(builder):
    for lr in (0.1, 0.01):
        network(builder, 0, {0.1: (0, 9, 9)}, lr=lr)
    assert rows(builder, "layer", "n", "num_empty") == [("in", 1, 1), ("mid", 1, 0), ("out", 1, 0)]


def test_the_heat_map_has_a_cell_a_layer_and_curve(builder):
    network(builder, 0, {0.1: (0, 9, 9)})
    network(builder, 0, {0.1: (9, 9, 0)}, pruner="magnitude")
    store = scan(builder.write())
    chart = first_empty.plot(first_empty.table(store.results, store.layers).collect())
    svg = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=VEGALITE)
    assert svg.count('aria-roledescription="rect mark"') == 6
