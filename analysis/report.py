"""Write a store's report: one HTML file that answers the sweep's questions and needs nothing else, not even a network.

Only aggregated rows enter the page, so it stays small however many trials there are. It is published like everything in
a store: whole or not at all. Text from sweep files (names, options, error messages) reaches the page only through
autoescaping and through JSON that cannot end its script element.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import polars as pl
import vl_convert
from markupsafe import Markup

from analysis import accuracy, collapse, failures, findings, layers, noise, progress, settings
from analysis.labels import PANEL
from analysis.palette import SHAPES, Palette
from analysis.scan import scan, sweep_names
from analysis.sparsity import sparsity_texts
from orchestrator.store.layout import Store

VEGALITE = "6.4"
"""The Vega-Lite that altair writes and vl_convert draws."""
BUNDLE_EXPORTS = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True, kw_only=True)
class Summaries:
    """Everything that is in a report, collected."""

    sweep: str
    counts: dict[str, int]
    accuracy: pl.DataFrame
    shares: pl.DataFrame
    collapse: pl.DataFrame
    layers: pl.DataFrame
    noise: pl.DataFrame
    failures: pl.DataFrame
    settings: pl.DataFrame
    environment: pl.DataFrame

    @property
    def measured(self) -> bool:
        """Whether there is anything to draw."""
        return self.counts["num_completed"] > 0


def write_report(location: str | Path, *, png: bool = False) -> list[Path]:
    """Write `report.html` into the store, with `png` also `figures/<name>.png`; return the paths written.

    In an object store the paths are keys of its filesystem. Raises ValueError where there are no results yet.
    """
    store = Store(location)
    summaries = summarise(location)
    palette = Palette.of(summaries.accuracy["curve"])
    store.publish_text(html(summaries, palette), "report.html")
    written = [Path(store.path("report.html"))]
    if png and summaries.measured:
        for name, figure in _figures(summaries, palette).items():
            image = vl_convert.vegalite_to_png(figure.to_dict(), vl_version=VEGALITE, scale=2)
            store.publish_bytes(image, "figures", f"{name}.png")
            written.append(Path(store.path("figures", f"{name}.png")))
    return written


def summarise(location: str | Path) -> Summaries:
    """Collect every summary of a store in one pass. Raises ValueError where there are no results yet."""
    store = scan(location)
    frames = pl.collect_all(
        [
            sweep_names(location),
            progress.table(store),
            accuracy.table(store.results),
            collapse.shares(store.results),
            collapse.table(store.results),
            layers.table(store.results, store.layers),
            noise.table(store.results),
            failures.table(store.results),
            settings.table(store.points),
            settings.environment(store.results),
        ]
    )
    names, counts, *rest = frames
    summaries = Summaries(
        sweep=" + ".join(names["sweep"]),
        counts=counts.row(0, named=True),
        **dict(
            zip(
                ("accuracy", "shares", "collapse", "layers", "noise", "failures", "settings", "environment"),
                rest,
                strict=True,
            )
        ),
    )
    if summaries.counts["num_completed"] + summaries.counts["num_failed"] == 0:
        raise ValueError(f"{location} holds no results yet; run `prunesweep run SWEEP` first")
    return summaries


def html(summaries: Summaries, palette: Palette) -> str:
    """The page."""
    panels = _panels(summaries, palette) if summaries.measured else {}
    specs = [{"id": panel["id"], "spec": panel["spec"]} for section in panels.values() for panel in section]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.1f}"
    environment.filters["sparsity"] = lambda sparsity: "–" if sparsity is None else _sparsity_of(sparsity)
    environment.filters["unbroken"] = _unbroken
    environment.filters["words"] = lambda name: name.replace("_", " ")
    return environment.from_string(_text("report.html.j2")).render(
        summaries=summaries,
        counts=summaries.counts,
        subtitle=_subtitle(summaries.counts),
        findings=findings.sentences(summaries.accuracy, summaries.shares),
        panels=panels,
        keys=[
            {
                "curve": curve,
                "colour": palette.colour(curve),
                "dash": " ".join(map(str, palette.dash(curve))),
                "shape": SYMBOLS[palette.shape(curve)],
            }
            for curve in palette.curves
        ],
        pivots=_pivots(summaries.accuracy, palette),
        noise=[noise.sentence(row) for row in summaries.noise.iter_rows(named=True)],
        style=Markup(_text("report.css")),
        script=Markup(_text("report.js")),
        bundle=Markup(
            vl_convert.javascript_bundle(BUNDLE_EXPORTS, vl_version=VEGALITE).replace("</script", "<\\/script")
        ),
        data=Markup(_script_json({"curves": palette.curves, "figures": specs})),
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


def _figures(summaries: Summaries, palette: Palette) -> dict[str, alt.ConcatChart]:
    """Figures for papers, by file name."""
    return {
        "accuracy": accuracy.chart(summaries.accuracy.filter(pl.col("n").sum().over(PANEL) > 0), palette),
        "collapse": collapse.chart(summaries.shares, palette),
        "layers": layers.chart(summaries.layers, palette),
    }


def _panels(summaries: Summaries, palette: Palette) -> dict[str, list[dict[str, Any]]]:
    """Each section's panels: a title, an id, and the Vega-Lite specification."""
    model = ["dataset_label", "model_label"]
    sources: dict[str, tuple[pl.DataFrame, list[str], Any]] = {
        "accuracy": (summaries.accuracy, PANEL, accuracy.panel),
        "collapse": (summaries.shares, model, collapse.panel),
        "layers": (summaries.layers, model, layers.panel),
    }
    return {
        section: [
            {
                "id": f"{section}-{number}",
                "title": accuracy.panel_title((*key, "")[:3]),
                "note": _layers_note(rows) if section == "layers" else "",
                "spec": _toggled(draw(rows, palette)).to_dict(),
            }
            for number, (key, rows) in enumerate(frame.partition_by(keys, as_dict=True, maintain_order=True).items())
            if "n" in rows.columns and rows["n"].sum() > 0
        ]
        for section, (frame, keys, draw) in sources.items()
    }


def _toggled(chart: alt.LayerChart) -> alt.LayerChart:
    """A chart that leaves out the curves named by the parameter `hidden`, which the page's keys set."""
    shown: alt.LayerChart = chart.transform_filter("indexof(hidden, datum.curve) < 0").add_params(
        alt.param(name="hidden", value=[]), accuracy.paper()
    )
    return shown


def _layers_note(rows: pl.DataFrame) -> str:
    return f"at {next(iter(sparsity_texts(rows['density']).values()))} sparsity"


def _pivots(table: pl.DataFrame, palette: Palette) -> list[dict[str, Any]]:
    """The accuracy table of each panel: a row a density, a column a curve, cells as rows of `accuracy.table`."""
    pivots = []
    for key, rows in table.partition_by(PANEL, as_dict=True, maintain_order=True).items():
        densities = sorted(set(rows["density"]), reverse=True)
        texts = sparsity_texts(densities)
        present = set(rows["curve"])
        cells = {(row["density"], row["curve"]): row for row in rows.iter_rows(named=True)}
        curves = [curve for curve in palette.curves if curve in present]
        pivots.append(
            {
                "title": accuracy.panel_title(key),
                "curves": curves,
                "rows": [
                    {
                        "sparsity": texts[density],
                        "ratio": f"{1 / density:.3g}" if density > 1e-3 else f"{1 / density:,.0f}",
                        "cells": [cells.get((density, curve)) for curve in curves],
                    }
                    for density in densities
                ],
            }
        )
    return pivots


def _subtitle(counts: dict[str, int]) -> str:
    """All counts in one line; those that may be alarming only if they are not zero."""
    parts = [
        f"{counts[f'num_{name}s']:,} {name}{'' if counts[f'num_{name}s'] == 1 else 's'}" for name in ("point", "trial")
    ]
    parts += [f"{counts[f'num_{name}']:,} {name}" for name in ("folded", "completed", "failed", "missing", "collapsed")]
    if counts["num_diverged"]:
        parts.append(f"{counts['num_diverged']:,} diverged")
    return " · ".join(parts)


def _unbroken(sentence: str) -> str:
    """A sentence whose "5 of 5", "n = 5" and "90 %" stay on one line."""
    return re.sub(
        r"(?<=\d) (?=%|of \d|[a-z]+( ·|$))|(?<=\d of) (?=\d)|(?<=\bn) (?==)|(?<=n =) (?=\d)", "\u00a0", sentence
    )


def _sparsity_of(sparsity: float) -> str:
    return "100 %" if sparsity >= 1 else next(iter(sparsity_texts([1 - sparsity]).values()))


def _script_json(value: Any) -> str:
    """JSON that is safe inside a script element, whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _text(name: str) -> str:
    return resources.files("analysis").joinpath(name).read_text(encoding="utf-8")
