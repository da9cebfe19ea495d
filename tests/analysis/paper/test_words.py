"""The agreement table as people read it."""

from analysis.paper.verdict import Point, Rule, agreement
from analysis.paper.words import listed, markdown, with_notes


def test_the_markdown_has_ranges_dashes_and_causes():
    points = [
        Point(figure="1", point="snip", measure="m", rule=Rule(kind="grid"), ours=(3.5, 3.75), theirs=(3.5, 3.5)),
        Point(figure="1", point="a|b", measure="m", rule=Rule(kind="mean"), ours=(1 / 3,)),
    ]
    assert markdown(agreement(points)).splitlines() == [
        "| point | measure | ours | seeds | theirs | difference | verdict |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
        "| snip | m | 3.625 (3.5 to 3.75) | 2 | 3.5 | 0.125 | differs |",
        "| a\\|b | m | 0.3333 | 1 | – | – | not comparable: no number was published |",
    ]


def of(name: str, ours: tuple[float, ...], theirs: tuple[float, ...]) -> Point:
    return Point(figure="6", point=name, measure="m", rule=Rule(kind="mean"), ours=ours, theirs=theirs)


def test_results_of_ours_come_first_and_published_points_without_one_are_counted():
    points = [of("a", (), (1.0,)), of("b", (2.0,), ()), of("c", (), ()), of("d", (), (1.0,)), of("e", (3.0,), (3.0,))]
    judged = agreement(points)
    assert judged["point"].to_list() == ["b", "e", "a", "c", "d"]  # all of them, for the files
    rows, unanswered = listed(judged)
    assert (rows["point"].to_list(), unanswered) == (["b", "e", "c"], "2 published points have no result here")
    *table, empty, last = markdown(judged).splitlines()
    assert [line.split()[1] for line in table] == ["point", "---", "b", "e", "c"]
    assert (empty, last) == ("", "2 published points have no result here.")


def test_a_cause_that_rows_share_is_said_once_below():
    points = [of("a", (1.0,), ()), of("b", (1.0,), (2.0,)), of("c", (2.0,), ()), of("d", (1.0, 2.0, 3.0), (2.0,))]
    rows, notes = with_notes(agreement(points))
    assert [(row[0], row[-1]) for row in rows] == [
        ("a", "not comparable (1)"), ("b", "not comparable (2)"), ("c", "not comparable (1)"), ("d", "agrees"),
    ]  # fmt: skip
    assert notes == ["(1) no number was published", "(2) fewer than 3 seeds predict nothing"]


def test_one_unanswered_point_is_one_and_none_is_no_line():
    assert listed(agreement([of("a", (), (1.0,))]))[1] == "1 published point has no result here"
    assert listed(agreement([of("a", (2.0,), (1.0,))]))[1] == ""
