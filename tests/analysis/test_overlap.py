"""Masks are compared weight by weight, within one network."""

from __future__ import annotations

from analysis import overlap
from analysis.scan import scan


def test_jaccard_on_literal_masks(builder):
    masks = {
        "snip": {"a": bytes([0b1111_0000]), "b": bytes([0b0000_0001, 0b1000_0000])},
        "grasp": {"a": bytes([0b1100_1100]), "b": bytes([0b0000_0000, 0b0000_0000])},
    }
    for pruner, bits in masks.items():
        builder.both(pruner, point={"pruner": pruner}, masks=bits)
    store = scan(builder.write())
    table = overlap.table(store.results, store.masks)
    columns = ["curve", "other_curve", "layer", "kept", "other_kept", "shared", "jaccard"]
    assert table.select(columns).rows() == [
        ("grasp", "snip", "a", 4, 4, 2, 2 / 6),
        ("grasp", "snip", "b", 0, 2, 0, 0.0),
        ("grasp", "snip", "all layers", 4, 6, 2, 2 / 8),
    ]


def test_networks_of_other_seeds_and_densities_are_not_compared(builder):
    full = {"a": bytes([255])}
    builder.both("s0", point={"pruner": "snip", "seed": 0}, masks=full)
    builder.both("g1", point={"pruner": "grasp", "seed": 1}, masks=full)
    builder.both("g0", point={"pruner": "grasp", "seed": 0, "density": 0.5}, masks=full)
    store = scan(builder.write())
    assert overlap.table(store.results, store.masks).is_empty()


def test_where_nobody_keeps_a_weight_there_is_no_index(builder):
    for pruner in ("snip", "grasp"):
        builder.both(pruner, point={"pruner": pruner}, masks={"a": bytes([0])})
    store = scan(builder.write())
    assert overlap.table(store.results, store.masks)["jaccard"].to_list() == [None, None]


def test_without_masks_the_table_is_empty_with_its_columns(builder):
    builder.both("a", point={})
    store = scan(builder.write())
    table = overlap.table(store.results, store.masks)
    assert table.is_empty()
    assert "jaccard" in table.columns
