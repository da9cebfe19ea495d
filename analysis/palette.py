"""Which colour, dash and mark does a curve have? The same everywhere on a page, and told apart without colour vision.

Colours are Okabe and Ito's, less black and yellow, which vanish on a dark and on a white page, plus a grey. The pruners
that are compared most have a colour of their own on every page. A curve's dash and mark differ as well; the cycles'
lengths have no common factor, so that combinations last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")
DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (4, 2))
HOMES = dict(zip(("synflow", "snip", "magnitude", "grasp", "imp", "iterative_snip", "random"), COLOURS, strict=True))
"""The colour of a pruner on every page; of several curves the last has it, that with the most rounds."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "triangle-right", "triangle-left", "cross")


@dataclass(frozen=True)
class Palette:
    """The look of each curve, by its place in `curves`."""

    curves: tuple[str, ...]

    @classmethod
    def of(cls, curves: Iterable[str]) -> Palette:
        """A palette for curves in natural order: "2 rounds" before "100 rounds"."""
        return cls(tuple(sorted(set(curves), key=_natural)))

    def colour(self, curve: str) -> str:
        """Hex colour of a curve."""
        return self._colours[curve]

    @cached_property
    def _colours(self) -> dict[str, str]:
        """Homes first, then what is left of the colours, then all of them again."""
        at_home: dict[str, str] = {}
        for curve in reversed(self.curves):
            home = HOMES.get(_pruner(curve))
            if home is not None and home not in at_home.values():
                at_home[curve] = home
        left = iter(colour for colour in COLOURS if colour not in at_home.values())
        return {
            curve: at_home.get(curve) or next(left, COLOURS[place % len(COLOURS)])
            for place, curve in enumerate(self.curves)
        }

    def dash(self, curve: str) -> tuple[int, ...]:
        """Lengths of dash and gap of a curve, in pixels."""
        return DASHES[self.curves.index(curve) % len(DASHES)]

    def shape(self, curve: str) -> str:
        """Vega's name of a curve's mark."""
        return SHAPES[self.curves.index(curve) % len(SHAPES)]

    def colour_scale(self) -> alt.Scale:
        """Curves to colours."""
        return self._scale([self.colour(curve) for curve in self.curves])

    def dash_scale(self) -> alt.Scale:
        """Curves to dashes."""
        return self._scale([list(self.dash(curve)) for curve in self.curves])

    def shape_scale(self) -> alt.Scale:
        """Curves to marks."""
        return self._scale([self.shape(curve) for curve in self.curves])

    def _scale(self, values: list[Any]) -> alt.Scale:
        return alt.Scale(domain=list(self.curves), range=values)


def _pruner(curve: str) -> str:
    """A label's first word (`analysis.labels`): settings follow behind a comma, a store behind a dot."""
    return re.split(r",| ·", curve, maxsplit=1)[0]


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]
