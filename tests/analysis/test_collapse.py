import pytest

from analysis import collapse
from analysis.scan import scan


def fill(builder, collapsed, **point):
    """Trials by (density, seed) with a number of collapsed layers each; None: the trial is missing."""
    for (density, seed), layers in collapsed.items():
        trial_id = f"{density}-{seed}-{point}"
        builder.point(trial_id, density=density, seed=seed, **point)
        if layers is not None:
            builder.trial(trial_id, collapsed_layers=layers, is_connected=layers < 2)


def test_collapse_need_not_be_monotone(builder):
    fill(builder, {(1.0, 0): 0, (0.1, 0): 0, (0.1, 1): 1, (0.01, 0): 0, (0.01, 1): 0, (0.001, 0): 1, (0.001, 1): 2})
    row = collapse.table(scan(builder.write()).results).collect().row(0, named=True)
    assert row == {
        "dataset_label": "digits",
        "model_label": "mlp",
        "curve": "synflow",
        "largest_sparsity_without": 0.99,
        "smallest_sparsity_with": 0.9,
        "sparsest": 0.999,
        "sparsest_n": 2,
        "sparsest_share": 1.0,
        "max_compression_ratio": 1000.0,  # 3000 weights in 3 layers
        "max_compression_sparsity": 0.999,
        "num_absent": 0,
    }


def test_missing_trials_decide_nothing_and_are_counted(builder):
    fill(builder, {(0.1, 0): 0, (0.01, 0): None, (0.01, 1): None})
    row = collapse.table(scan(builder.write()).results).collect().row(0, named=True)
    assert (row["largest_sparsity_without"], row["smallest_sparsity_with"], row["num_absent"]) == (0.9, None, 2)
    assert (row["sparsest"], row["sparsest_n"], row["sparsest_share"]) == (0.9, 1, 0.0)


def test_a_curve_without_results_has_nulls(builder):
    fill(builder, {(0.1, 0): None})
    row = collapse.table(scan(builder.write()).results).collect().row(0, named=True)
    assert (row["largest_sparsity_without"], row["sparsest"], row["sparsest_n"], row["sparsest_share"]) == (
        None,
        None,
        0,
        None,
    )


def test_shares_count_networks_and_connection_apart(builder):
    fill(builder, {(0.1, 0): 0, (0.1, 1): 1, (0.1, 2): 2, (0.1, 3): None})
    columns = ["n", "num_collapsed", "num_connected", "num_absent", "collapsed_share"]
    assert collapse.shares(scan(builder.write()).results).select(columns).collect().rows() == [
        (3, 2, 2, 1, pytest.approx(2 / 3))
    ]


def test_a_network_trained_in_two_ways_is_one_network(builder):
    fill(builder, {(0.1, 0): 1}, lr=0.1)
    fill(builder, {(0.1, 0): 1}, lr=0.01)
    assert collapse.shares(scan(builder.write()).results).select("n", "num_collapsed").collect().rows() == [(1, 1)]
