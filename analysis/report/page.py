"""The page: sections as HTML, charts as data that its script draws.

Text from sweep files (names, options, error messages) reaches the page only through autoescaping and through JSON that
cannot end its script element.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from analysis.findings import spoken
from analysis.palette import SHAPES, Palette
from analysis.report.collected import Collected
from analysis.report.contents import Content, contents_of
from analysis.report.section import VEGALITE
from analysis.report.sections import FINDINGS

BUNDLE_EXPORTS = "window.vegaEmbed = vegaEmbed;"
MOST_PAGE_BYTES = 8_000_000
"""Of the whole page; 0.9 MB are the script that draws its charts."""
MOST_SENTENCES = 8
"""Of findings: beyond that, the charts and tables are easier to read."""


def html(collected: Collected, *, reload_seconds: float = 0) -> str:
    """The page, smaller than `MOST_PAGE_BYTES`. With `reload_seconds` it loads itself again so often."""
    everything = contents_of(collected.tables, collected.palette)
    bundle = vl_convert.javascript_bundle(BUNDLE_EXPORTS, vl_version=VEGALITE).replace("</script", "<\\/script")
    template = _template(collected.palette)
    page = ""
    for share in (1.0, 0.5, 0.25, 0.1):
        contents = [one.trimmed(share) for one in everything]
        page = _rendered(template, collected, contents, bundle, reload_seconds)
        if len(page.encode()) < MOST_PAGE_BYTES:
            break
    return page


def _template(palette: Palette) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    numbers = {curve: str(number) for number, curve in enumerate(palette.curves)}
    environment.filters["unbroken"] = _unbroken
    environment.filters["swatched"] = lambda text: _swatched(text, palette)
    environment.filters["words"] = lambda name: name.replace("_", " ")
    environment.filters["numbers"] = lambda curves: " ".join(numbers[curve] for curve in curves if curve in numbers)
    return environment.from_string(_text("page.html.j2"))


def _rendered(
    template: jinja2.Template, collected: Collected, contents: list[Content], bundle: str, reload_seconds: float
) -> str:
    tables, palette = collected.tables, collected.palette
    figures = [
        {"id": panel.anchor, "spec": panel.spec} for one in contents for drawn in one.figures for panel in drawn.panels
    ]
    return template.render(
        sweep=collected.sweep,
        counts=collected.counts,
        subtitle=_subtitle(collected.counts),
        findings=[sentence for find in FINDINGS for sentence in find(tables)][:MOST_SENTENCES],
        notices=collected.notices,
        contents=contents,
        figures=figures,
        keys=_keys(palette),
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
        bundle=Markup(bundle),
        data=Markup(_script_json({"curves": palette.curves, "figures": figures, "reload_seconds": reload_seconds})),
    )


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
    if counts["num_kept_apart"]:
        parts.append(f"{counts['num_kept_apart']:,} kept apart, answering no point")
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
