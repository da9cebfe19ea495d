"""How Sphinx builds the site: `make docs`. The guide is Markdown; the API reference is what docstrings say."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import Any

project = "prunesweep"
version = release = version_of("prunesweep")
copyright = "the prunesweep authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.apidoc"]
exclude_patterns = ["_build", "api/*/modules.rst"]
html_theme = "furo"
html_title = "prunesweep"
myst_heading_anchors = 3
myst_links_external_new_tab = False
toc_object_entries = False
suppress_warnings = ["ref.python"]  # two classes of one name in different modules: a type hint links to the first

ROOMS = ("analysis", "models", "orchestrator", "pruning", "training")
apidoc_modules = [
    {
        "path": f"../{room}",
        "destination": f"api/{room}",
        "separate_modules": True,
        "module_first": True,
        "exclude_patterns": ["**/__main__.py"],
    }
    for room in ROOMS
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False

_SPECIAL = re.compile(r"([*|_])")
"""Marks of reStructuredText that are plain characters in our docstrings: |theta|, num_kept, a * b."""


def _paragraph(lines: list[str]) -> list[str]:
    """A paragraph of a docstring as reStructuredText; one that is laid out by hand is shown as it is."""
    if lines[0].startswith(">>>"):
        return lines
    if any(line.startswith(" ") or "  " in line.strip() for line in lines):
        return ["::", "", *(f"    {line}" for line in lines)]
    code = re.compile(r"(`[^`]+`)")
    return [
        "".join(f"`{part}`" if code.fullmatch(part) else _SPECIAL.sub(r"\\\1", part) for part in code.split(line))
        for line in lines
    ]


def _plain_docstrings(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    lines[:] = [line for paragraph in paragraphs if paragraph for line in [*_paragraph(paragraph), ""]]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _plain_docstrings)
