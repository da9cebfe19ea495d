"""The one rule, on numbers worked out by hand."""

import math

import pytest

from analysis.paper.verdict import (
    NOTHING_OF_OURS,
    NOTHING_OF_THEIRS,
    TOO_FEW_RUNS,
    Point,
    Rule,
    agreement,
    predicted_distance,
)

LAW, GRID, SPREAD, MAJORITY, MEAN = (
    Rule(kind="law", tolerance=1e-10),
    Rule(kind="grid", tolerance=0.25),
    Rule(kind="spread", tolerance=0.0),
    Rule(kind="majority", tolerance=0.0),
    Rule(kind="mean", tolerance=0.05),
)


def judged(rule, ours, theirs, **more):
    return Point(figure="1", point="p", measure="m", rule=rule, ours=ours, theirs=theirs, **more).judged()


@pytest.mark.parametrize(
    ("rule", "ours", "theirs", "verdict"),
    [
        (LAW, (1e-10, -1e-11), (0.0,), "agrees"),
        (LAW, (1e-16, 2e-10), (0.0,), "differs"),
        # a step of the grid either way, of the range of the other side
        (GRID, (3.5, 4.0), (3.5, 3.75, 3.5), "agrees"),
        (GRID, (3.25, 3.5), (3.5, 3.75, 3.5), "agrees"),
        (GRID, (3.0, 3.5), (3.5, 3.75, 3.5), "differs"),
        (GRID, (3.0, 3.0, 3.0), (2.75, 3.5), "differs"),
        (SPREAD, (2.75, 3.0, 3.75), (3.75, 3.5, 2.75), "agrees"),
        (SPREAD, (3.0, 4.0), (3.75, 3.5, 2.75), "differs"),
        (MAJORITY, (1.0, 0.0, 1.0), (1.0,), "agrees"),
        (MAJORITY, (1.0, 0.0), (1.0,), "differs"),
    ],
)
def test_laws_places_on_a_grid_and_majorities(rule, ours, theirs, verdict):
    assert judged(rule, ours, theirs) == (verdict, "")


def test_a_mean_agrees_where_our_runs_predict_the_published_one_in_99_per_cent():
    """1, 2, 3: mean 2, deviation 1; t(2) at 99 % is 9.925; one more run lies within 9.925 x sqrt(1 + 1/3) = 11.460."""
    ours = (1.0, 2.0, 3.0)
    assert predicted_distance(ours, 1) == pytest.approx(9.9248 * math.sqrt(4 / 3), rel=1e-4)
    assert predicted_distance(ours, 3) == pytest.approx(9.9248 * math.sqrt(2 / 3), rel=1e-4)
    # half a unit of the last published digit on top
    assert judged(MEAN, ours, (2 + 11.460 + 0.049,)) == ("agrees", "")
    assert judged(MEAN, ours, (2 + 11.460 + 0.052,)) == ("differs", "")


@pytest.mark.parametrize(
    ("ours", "theirs", "cause", "said"),
    [
        ((1.0, 2.0), (1.0,), "4 epochs, published 160", "4 epochs, published 160"),
        ((), (1.0,), "", NOTHING_OF_OURS),
        ((1.0, 2.0), (), "", NOTHING_OF_THEIRS),
        ((1.0,), (1.0,), "", TOO_FEW_RUNS),
        ((1.0, 2.0), (1.0,), "", TOO_FEW_RUNS),
    ],
)
def test_what_cannot_be_compared_says_why(ours, theirs, cause, said):
    assert judged(MEAN, ours, theirs, cause=cause) == ("not comparable", said)


def test_the_table_has_both_sides_with_their_ranges():
    rows = agreement(
        [
            Point(figure="7", point="p", measure="m", rule=GRID, ours=(1.0, 3.0), theirs=(2.5, 3.5)),
            Point(figure="7", point="q", measure="m", rule=MEAN, ours=()),
        ],
        scale="cpu-minutes",
    )
    assert rows.rows() == [
        ("7", "p", "m", 2.0, 1.0, 3.0, 2, 3.0, 2.5, 3.5, 2, -1.0, "differs", None, "cpu-minutes"),
        (
            "7",
            "q",
            "m",
            None,
            None,
            None,
            0,
            None,
            None,
            None,
            0,
            None,
            "not comparable",
            NOTHING_OF_OURS,
            "cpu-minutes",
        ),
    ]
