"""Masks are compared weight by weight, within one network, and with what chance would give."""

from __future__ import annotations

import pytest
import vl_convert

from analysis import overlap
from analysis.report.section import VEGALITE
from analysis.scan import scan


def pairs(root, **most):
    store = scan(root)
    return overlap.pairs(store.results, store.masks, **most).collect()


def table(root, **most):
    store = scan(root)
    return overlap.table(store.results, store.masks, **most).collect()


def test_jaccard_on_literal_masks(builder):
    masks = {
        "snip": {"a": bytes([0b1111_0000]), "b": bytes([0b0000_0001, 0b1000_0000])},
        "grasp": {"a": bytes([0b1100_1100]), "b": bytes([0b0000_0000, 0b0000_0000])},
    }
    for pruner, bits in masks.items():
        builder.both(pruner, point={"pruner": pruner}, masks=bits)
    columns = ["curve", "other_curve", "layer", "kept", "other_kept", "shared", "jaccard"]
    assert pairs(builder.write()).select(columns).rows() == [
        ("grasp", "snip", "a", 4, 4, 2, 2 / 6),
        ("grasp", "snip", "b", 0, 2, 0, 0.0),
        ("grasp", "snip", "all layers", 4, 6, 2, 2 / 8),
    ]


def test_networks_of_other_seeds_and_densities_are_not_compared(builder):
    full = {"a": bytes([255])}
    builder.both("s0", point={"pruner": "snip", "seed": 0}, masks=full)
    builder.both("g1", point={"pruner": "grasp", "seed": 1}, masks=full)
    builder.both("g0", point={"pruner": "grasp", "seed": 0, "density": 0.5}, masks=full)
    assert pairs(builder.write()).is_empty()


def test_where_nobody_keeps_a_weight_there_is_no_index(builder):
    for pruner in ("snip", "grasp"):
        builder.both(pruner, point={"pruner": pruner}, masks={"a": bytes([0])})
    assert pairs(builder.write())["jaccard"].to_list() == [None, None]


def test_without_masks_the_tables_are_empty_with_their_columns(builder):
    builder.both("a", point={})
    root = builder.write()
    assert pairs(root).is_empty()
    assert table(root).is_empty()
    assert {"mean_jaccard", "num_pairs", "excess"} <= set(table(root).columns)


def test_chance_by_hand(builder):
    """8 and 16 weights; kept 4 and 0 of one mask, 4 and 2 of the other."""
    builder.both("s", point={"pruner": "snip"}, masks={"a": bytes([0b1111_0000]), "b": bytes([0b1, 0b1000_0000])})
    builder.both("g", point={"pruner": "grasp"}, masks={"a": bytes([0b1100_1100]), "b": bytes([0, 0])})
    a, b, whole = pairs(builder.write()).to_dicts()
    assert a["chance"] == a["chance_by_layer"] == 2 / 6  # 4 x 4 / 8 = 2 shared of 6
    assert b["chance"] == 0
    assert (whole["num_weights"], whole["kept"], whole["other_kept"]) == (24, 4, 6)
    assert whole["chance"] == pytest.approx(1 / 9)  # 4 x 6 / 24 = 1 shared of 9
    assert whole["chance_by_layer"] == pytest.approx(2 / 8)  # 2 + 0 shared of 8


def test_pruners_are_compared_at_equal_seeds_and_seeds_within_a_pruner(builder):
    for seed in range(2):
        for pruner, bits in {"snip": 0b1111_0000, "grasp": 0b1100_1100}.items():
            mask = bytes([bits >> (2 * seed) & 255])  # shifted: half of the first four stay
            builder.both(f"{pruner}{seed}", point={"pruner": pruner, "seed": seed}, masks={"a": mask})
    found = table(builder.write()).filter(layer=overlap.WHOLE_NETWORK)
    columns = ["between", "curve", "other_curve", "num_pairs", "mean_jaccard", "chance_by_layer"]
    # snip 11110000 and 00111100; grasp 11001100 and 00110011
    assert found.select(columns).rows() == [
        ("pruners", "grasp", "snip", 2, 2 / 6, 2 / 6),
        ("seeds", "grasp", "grasp", 1, 0.0, 2 / 6),
        ("seeds", "snip", "snip", 1, 2 / 6, 2 / 6),
    ]
    assert found["excess"].to_list() == pytest.approx([0, -0.5, 0])  # (0 - 1/3) / (1 - 1/3)
    assert found["interval_low"].to_list() == [pytest.approx(2 / 6), None, None]


def test_what_is_undefined_is_counted_beside_the_mean(builder):
    masks = {0: (0b1111_0000, 0b1111_0000), 1: (0, 0)}
    for seed, (a, b) in masks.items():
        builder.both(f"s{seed}", point={"pruner": "snip", "seed": seed}, masks={"a": bytes([a])})
        builder.both(f"g{seed}", point={"pruner": "grasp", "seed": seed}, masks={"a": bytes([b])})
    row = table(builder.write()).filter(layer="a", between="pruners").row(0, named=True)
    assert (row["num_pairs"], row["num_defined"], row["mean_jaccard"], row["min_jaccard"]) == (2, 1, 1.0, 1.0)


def test_failed_trials_and_further_trainings_are_not_counted_twice(builder):
    full = {"a": bytes([255])}
    for lr in (0.1, 0.01):
        for pruner in ("snip", "grasp"):
            builder.both(f"{pruner}{lr}", point={"pruner": pruner, "lr": lr}, masks=full)
    builder.both("f", point={"pruner": "synflow", "lr": 0.1}, error=("ValueError", "no"), masks=full)
    rows = pairs(builder.write()).filter(layer=overlap.WHOLE_NETWORK)
    assert rows.select("training_label", "curve", "other_curve", "num_weights").rows() == [
        ("lr 0.01", "grasp", "snip", 8),
        ("lr 0.1", "grasp", "snip", 8),
    ]


def test_the_work_is_bounded_by_seeds_and_by_bytes(builder):
    for seed in range(4):
        for pruner in ("snip", "grasp"):
            mask = {"a": bytes([255])}
            builder.both(f"{pruner}{seed}", point={"pruner": pruner, "seed": seed}, masks=mask, prunable_weights=8)
    root = builder.write()
    whole = {"layer": overlap.WHOLE_NETWORK}
    assert pairs(root).filter(**whole).height == 4 + 6 + 6
    assert pairs(root, most_seeds=2).filter(**whole).height == 2 + 1 + 1
    assert pairs(root, most_bytes=3).filter(**whole).height == 1 + 1  # three masks: one seed of both, one more of grasp


def test_a_page_shows_the_sparsest_networks_and_draws_both_halves(builder):
    for pruner in ("snip", "grasp"):
        builder.both(f"{pruner}1", point={"pruner": pruner, "density": 0.5}, masks={"a": bytes([255])})
        builder.both(f"{pruner}2", point={"pruner": pruner, "density": 0.1}, masks={"a": bytes([0b1111_0000])})
    store = scan(builder.write())
    found = overlap.for_page(store.results, store.masks).collect()
    assert found["density"].to_list() == [0.1]
    image = vl_convert.vegalite_to_svg(overlap.plot(found).to_dict(), vl_version=VEGALITE)
    assert image.count('aria-roledescription="rect mark"') == 2
