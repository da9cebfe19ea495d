"""Pruners of figures 2 to 4 of which there is no result: their sweep file was left out, or has not been run."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.paper.setting import IMAGENET, LOOKS_AT_IMAGES, LOOKS_AT_NOTHING
from analysis.paper.verdict import NOTHING_OF_OURS, Point, Rule


def missing_points(figure: str, measure: str, rule: Rule, pruners: Iterable[str]) -> list[Point]:
    """A point for each pruner of the paper that is none of `pruners`, with the data set as cause where that is it."""
    there = set(pruners)
    images = f"{NOTHING_OF_OURS}: scored on images, published {IMAGENET.datasets[0][0]}"
    return [
        Point(figure=figure, point=pruner, measure=measure, rule=rule, ours=(), cause=cause)
        for names, cause in ((LOOKS_AT_NOTHING, NOTHING_OF_OURS), (LOOKS_AT_IMAGES, images))
        for pruner in names
        if pruner not in there
    ]
