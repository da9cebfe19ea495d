"""The page: sections as HTML, charts as data that its script draws.

Text from sweep files (names, options, error messages) reaches the page only through autoescaping and through JSON that
cannot end its script element.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from analysis.findings import spoken
from analysis.palette import SHAPES, Palette
from analysis.report.collected import Collected
from analysis.report.panels import Panel, panels_of
from analysis.report.section import NOTHING, VEGALITE, Figure, Grid, Property, Section, Tables
from analysis.report.sections import FINDINGS, SECTIONS

BUNDLE_EXPORTS = "Object.assign(window, {vegaEmbed, vegaLite, vega});"
MOST_SENTENCES = 8
"""Of findings: beyond that, the charts and tables are easier to read."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure's panels."""

    figure: Figure
    panels: list[Panel]
    num_left_out: int


@dataclass(frozen=True, kw_only=True)
class Content:
    """A section with what is to be shown of it."""

    section: Section
    figures: list[Drawn]
    grids: list[Grid]
    paragraphs: list[str]
    properties: list[Property]


def html(collected: Collected, *, reload_seconds: float = 0) -> str:
    """The page. With `reload_seconds` it loads itself again so often, and stays as it was."""
    tables, palette = collected.tables, collected.palette
    contents = [one for section in SECTIONS if (one := _content(section, tables, palette))]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["unbroken"] = _unbroken
    environment.filters["swatched"] = lambda text: _swatched(text, palette)
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["numbers"] = lambda curves: " ".join(
        str(palette.curves.index(curve)) for curve in curves if curve in palette.curves
    )
    figures = [
        {"id": panel.anchor, "spec": panel.spec} for one in contents for drawn in one.figures for panel in drawn.panels
    ]
    return environment.from_string(_text("page.html.j2")).render(
        sweep=collected.sweep,
        counts=collected.counts,
        subtitle=_subtitle(collected.counts),
        findings=[sentence for find in FINDINGS for sentence in find(tables)][:MOST_SENTENCES],
        notices=collected.notices,
        reload_seconds=reload_seconds,
        contents=contents,
        figures=figures,
        keys=_keys(palette),
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
        bundle=Markup(
            vl_convert.javascript_bundle(BUNDLE_EXPORTS, vl_version=VEGALITE).replace("</script", "<\\/script")
        ),
        data=Markup(_script_json({"curves": palette.curves, "figures": figures, "reload_seconds": reload_seconds})),
    )


def _content(section: Section, tables: Tables, palette: Palette) -> Content | None:
    """What a section has to say; None for nothing."""
    figures = [Drawn(figure=one, panels=p, num_left_out=n) for one in section.figures
               for p, n in [panels_of(one, tables.get(one.of, NOTHING), palette)] if p]  # fmt: skip
    content = Content(
        section=section,
        figures=figures,
        grids=[grid for sheet in section.sheets for grid in sheet.grids(tables, palette)],
        paragraphs=list(section.paragraphs(tables)),
        properties=list(section.properties(tables)),
    )
    return content if figures or content.grids or content.paragraphs or content.properties else None


SYMBOLS = {
    "circle": "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z",
    "square": "M-4.4 -4.4H4.4V4.4H-4.4Z",
    "triangle-up": "M0 -5L5 4.5H-5Z",
    "diamond": "M0 -6L4.5 0L0 6L-4.5 0Z",
    "triangle-down": "M0 5L5 -4.5H-5Z",
    "triangle-right": "M5 0L-4.5 5V-5Z",
    "triangle-left": "M-5 0L4.5 5V-5Z",
    "cross": "M-2 -5H2V-2H5V2H2V5H-2V2H-5V-2H-2Z",
}
"""The marks of the charts as SVG paths for the keys of the page."""
assert set(SYMBOLS) == set(SHAPES)


def _keys(palette: Palette) -> list[dict[str, str]]:
    return [
        {
            "curve": curve,
            "colour": palette.colour(curve),
            "dash": " ".join(map(str, palette.dash(curve))),
            "shape": SYMBOLS[palette.shape(curve)],
        }
        for curve in palette.curves
    ]


def _subtitle(counts: dict[str, int]) -> str:
    """All counts in one line; those that may be alarming only if they are not zero."""
    parts = [
        f"{counts[f'num_{name}s']:,} {name}{'' if counts[f'num_{name}s'] == 1 else 's'}" for name in ("point", "trial")
    ]
    parts += [f"{counts[f'num_{name}']:,} {name}" for name in ("folded", "completed", "failed", "missing", "collapsed")]
    if counts["num_diverged"]:
        parts.append(f"{counts['num_diverged']:,} diverged")
    return " · ".join(parts)


def _swatched(sentence: str, palette: Palette) -> Markup:
    """A sentence as HTML in which the name of every curve has its colour."""
    colours = {
        text: palette.colour(curve)
        for curve in palette.curves
        for name in (curve, spoken(curve))
        for text in (name, _unbroken(name))
    }
    longest_first = sorted(filter(None, colours), key=len, reverse=True)
    if not longest_first:
        return Markup("{}").format(sentence)
    names = "|".join(map(re.escape, longest_first))
    pieces = re.split(rf"(?<![\w-])({names})(?![\w-])", sentence)
    swatch = Markup('<span class="swatch" style="--colour: {}">{}</span>')
    # every second piece is a name
    return Markup("").join(
        swatch.format(colours[piece], piece) if number % 2 else piece for number, piece in enumerate(pieces)
    )


def _unbroken(sentence: str) -> str:
    """A sentence whose "5 of 5", "n = 5" and "90 %" stay on one line."""
    return re.sub(
        r"(?<=\d) (?=%|of \d|[a-z]+( ·|$))|(?<=\d of) (?=\d)|(?<=\bn) (?==)|(?<=n =) (?=\d)", "\u00a0", sentence
    )


def _script_json(value: Any) -> str:
    """JSON that is safe inside a script element, whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _text(name: str) -> str:
    return resources.files("analysis.report").joinpath(name).read_text(encoding="utf-8")
