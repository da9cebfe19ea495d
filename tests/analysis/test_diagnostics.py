import pytest

from analysis import diagnostics
from analysis.scan import scan


def fill(builder):
    """A pruned trial of two rounds and the dense one, which two curves share."""
    builder.both(
        "a",
        point={"density": 0.1},
        layers={"in": (100, 10), "out": (20, 0)},
        scores={"in": (6.0, 50.0, 1e-12), "out": (4.0, 40.0, None)},
        rounds=[
            {
                "density": 0.3,
                "kept": 36,
                "score_cut": 9.0,
                "flow": 45.0,
                "layer_deviation": 0.11,
                "collapsed_layers": 0,
            },
            {"density": 0.1, "kept": 10, "score_cut": 8.0, "flow": 5.0, "layer_deviation": 0.2, "collapsed_layers": 1},
            {"density": 0.1, "kept": 10, "score_cut": 0.0, "flow": 0.0, "collapsed_layers": 1},
        ],
        collapsed_layers=1,
        is_connected=False,
        effective_density=0.0,
        prunable_weights=120,
        prunable_layers=2,
    )
    builder.point("dense", density=1.0)
    builder.both(
        "dense", point={"density": 1.0, "pruner": "snip"}, layers={"in": (100, 100)}, scores={"in": (0, 0, None)}
    )
    builder.both("failed", point={"density": 0.01}, error=("ValueError", "no"))
    builder.point("missing", density=0.001)
    return scan(builder.write())


def test_layers_have_their_densities_and_mean_scores(builder):
    store = fill(builder)
    rows = diagnostics.of_layers(store.results, store.layers).filter(trial_id="a").collect()
    columns = ["layer", "layer_density", "layer_effective_density", "score_mean", "initial_score_mean"]
    assert rows.select(columns).rows() == [("in", 0.1, 0.1, 0.06, 0.5), ("out", 0.0, 0.0, 0.2, 2.0)]
    assert rows["unit_conservation_error"].to_list() == [1e-12, None]
    assert rows.columns[: len(diagnostics.KEYS)] == diagnostics.KEYS


def test_rounds_have_the_cut_over_the_flow_of_a_layer(builder):
    store = fill(builder)
    rows = diagnostics.of_rounds(store.results, store.rounds).collect()
    columns = ["round", "density", "round_density", "cut_over_flow", "layer_deviation", "collapsed_layers"]
    assert rows.select(columns).rows() == [
        (1, 0.1, 0.3, 0.2, 0.11, 0),
        (2, 0.1, 0.1, 1.6, 0.2, 1),
        (3, 0.1, 0.1, None, None, 1),
    ]


def test_trials_have_the_largest_of_each_and_stand_under_each_curve(builder):
    store = fill(builder)
    rows = diagnostics.of_trials(store.results, store.layers, store.rounds).collect()
    assert rows.select("curve", "trial_id").rows() == [("snip", "dense"), ("synflow", "dense"), ("synflow", "a")]
    assert rows.drop(diagnostics.KEYS).row(2, named=True) == {
        "compression_ratio": 10.0,
        "max_compression_ratio": 60.0,
        "effective_density": 0.0,
        "collapsed_layers": 1,
        "is_connected": False,
        "largest_cut_over_flow": 1.6,
        "largest_layer_deviation": 0.2,
        "largest_unit_conservation_error": 1e-12,
        "first_round_with_collapse": 2,
    }
    dense = rows.row(0, named=True)
    assert (dense["largest_cut_over_flow"], dense["first_round_with_collapse"]) == (None, None)
    assert dense["max_compression_ratio"] == pytest.approx(1000.0)
