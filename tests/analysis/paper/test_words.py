"""The agreement table as people read it."""

from analysis.paper.verdict import Point, Rule, agreement
from analysis.paper.words import markdown


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
