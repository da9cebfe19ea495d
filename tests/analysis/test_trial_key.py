"""Two stores beside each other hold the same trials: neither's rows are counted for the other."""

from __future__ import annotations

import pytest

from analysis import cost, curves, failures, overlap, speedup, stability
from analysis.origins import told_apart
from analysis.scan import scan
from tests.analysis.conftest import StoreBuilder

IMP = {"pruner": "imp", "pre_epochs": 1, "levels": 1, "rewind": "weights", "density": 0.25}


def epochs(*accuracies, first_level=1):
    return [
        {"test_accuracy": accuracy, "test_loss": 1.0, "train_loss": 1.0, "level": first_level + place, "epoch": 1}
        for place, accuracy in enumerate(accuracies)
    ]


@pytest.fixture
def both(tmp_path):
    """The same trials in two stores: other accuracies, masks and seconds."""
    for name, accuracy, bits, seconds in (("a", 0.8, 0b1111_0000, 3600.0), ("b", 0.6, 0b1100_0000, 7200.0)):
        builder = StoreBuilder(tmp_path / name)
        for pruner in ("snip", "synflow"):
            mask = {"w": bytes([bits if pruner == "snip" else 255])}
            builder.both(pruner, point={"pruner": pruner}, epochs=epochs(accuracy), masks=mask, train_seconds=seconds)
        builder.both("dense", point={"density": 1.0}, train_seconds=2 * seconds)
        builder.both("imp", point=IMP, epochs=epochs(accuracy, accuracy - 0.1, first_level=0))
        builder.both("gone", point={"seed": 7}, error=("ValueError", "no"))
        builder.write()
    return told_apart(scan(tmp_path / "a", tmp_path / "b", apart=True).gathered())


def test_curves_are_of_their_own_store(both):
    found = curves.table(both.results, both.epochs).collect().filter(density=0.1)
    assert found.select("curve", "n", "mean_test_accuracy").rows() == [
        ("snip · a", 1, 0.8),
        ("snip · b", 1, 0.6),
        ("synflow · a", 1, 0.8),
        ("synflow · b", 1, 0.6),
    ]


def test_falls_are_of_their_own_store(both):
    found = stability.table(both.results, both.epochs, both.rounds).collect()
    assert found["n"].to_list() == [1, 1]
    assert found["mean_before"].to_list() == [0.8, 0.6]


def test_masks_are_of_their_own_store(both):
    found = overlap.pairs(both.results, both.masks).collect().filter(layer=overlap.WHOLE_NETWORK)
    kept = {(row["curve"], row["other_curve"]): (row["num_weights"], row["shared"]) for row in found.to_dicts()}
    assert kept["snip · a", "synflow · a"] == (8, 4)
    assert kept["snip · b", "synflow · b"] == (8, 2)
    assert kept["snip · a", "snip · b"] == (8, 2)


def test_hours_and_failures_of_both_are_counted(both):
    everything = cost.table(both.results).filter(axis="all").collect().row(0, named=True)
    assert (everything["total_hours"], everything["num_trials"]) == ((1 + 1 + 2) + (2 + 2 + 4), 6)
    assert cost.pace(both.results).collect().is_empty()  # nothing says when
    assert speedup.table(both.results).collect()["num_dense"].to_list() == [2, 2, 2, 2]
    assert failures.table(both.results).collect()["num_trials"].to_list() == [2]
