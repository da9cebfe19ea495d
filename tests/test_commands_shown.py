"""Every command that a page shows is one that the command line, a benchmark or make takes, with all its options.

That they do what the page says is tested where they are run: test_guide.py, test_readme.py, the tests of each command.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from orchestrator.cli import app

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", flags=re.MULTILINE | re.DOTALL)
COMMAND = r"(?:prunesweep|python -m benchmarks(?:\.\w+)?|make)\b"


def commands_of(page: str) -> Iterator[str]:
    """The commands of a page: in blocks for a shell, in indented lines, and in a sentence between backticks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    yield from commands_apart(text)
    yield from (" ".join(found.split()) for found in re.findall(rf"`({COMMAND}[^`]*)`", FENCED.sub("", text)))


def commands_apart(text: str) -> Iterator[str]:
    """The commands that are not in a sentence."""
    for kind, block in FENCED.findall(text):
        if kind in ("sh", "console"):
            yield from _lines(block)
    yield from _lines("\n".join(re.findall(rf"^    ({COMMAND}.*)$", FENCED.sub("", text), flags=re.MULTILINE)))


def _lines(block: str) -> Iterator[str]:
    """The lines of a block that are commands of ours; one with an open quote goes on in the next line."""
    command = ""
    for line in block.splitlines():
        command += line.strip().removeprefix("$ ")
        try:
            shlex.split(command, comments=True)
        except ValueError:
            command += " "
            continue
        if re.match(COMMAND, command):
            yield command
        command = ""


def shown(*first: str) -> list[Any]:
    """What follows these words in commands of the pages, each once."""
    found: dict[str, Any] = {}
    for page in PAGES:
        for command in commands_of(page):
            words = shlex.split(command, comments=True)
            text, rest = shlex.join(words), words[len(first) :]
            if tuple(words[: len(first)]) == first and rest:
                found.setdefault(text, pytest.param(rest, id=f"{page}: {text}"))
    return list(found.values())


@pytest.mark.parametrize("words", shown("prunesweep"))
def test_the_command_line_takes_it(words: list[str]) -> None:
    main: Any = get_command(app)
    name, *arguments = words
    if name.startswith("-"):
        assert name in {option for parameter in main.params for option in parameter.opts}
        return
    command = main.commands[name]
    if all(word.startswith("-") for word in arguments[:1]):  # in a sentence it goes without saying what is run
        arguments = [parameter.name for parameter in command.params if parameter.required] + arguments
    rest = command.make_context(name, arguments).args
    assert not rest or name == "submit"
    main.commands["run"].make_context("run", ["sweep.yaml", *rest])  # where what follows -- goes


class Taken(Exception):
    """A benchmark has read its arguments; it need not begin."""


@pytest.mark.parametrize("words", shown("python", "-m"))
def test_the_benchmark_takes_it(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, *arguments = words
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, *given: Any) -> None:
        parse(parser, *given)
        raise Taken

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    module = importlib.import_module(f"{name}.__main__" if name == "benchmarks" else name)
    with pytest.raises(Taken):
        module.main()


@pytest.mark.parametrize("words", shown("make"))
def test_make_knows_it(words: list[str]) -> None:
    (target,) = words
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_commands_of_every_kind_of_place_are_found() -> None:
    found = {command for page in PAGES for command in commands_of(page)}
    assert {"submit", "jobs", "logs", "cancel"} <= {(*command.split(), "")[1] for command in found}
    assert {
        "make demo",  # in a sentence
        "prunesweep audit results/my-sweep --sample 1%",  # indented
        "prunesweep doctor results/my-sweep --repair",  # in a block
        "python -m benchmarks.figure1_layers",  # in a table
    } <= found
    assert any(command.endswith('ORDER BY curve, density DESC"') for command in found)  # over two lines
    assert len(found) > 90


FILE = re.compile(r"`((?:analysis|benchmarks|deploy|models|orchestrator|pruning|sweeps|tests|training)/[\w./-]+)`")
OF_OTHER_TOOLS = ("aws ", "ray ", "--sbatch=")


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_are_there(page: str) -> None:
    named = FILE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "tests" / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_options_that_a_sentence_names_are_there(page: str) -> None:
    commands: Any = get_command(app)
    parameters = [one for command in (commands, *commands.commands.values()) for one in command.params]
    known = {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}
    for path in (ROOT / "benchmarks").glob("*.py"):
        known.update(re.findall(r'"(--[\w-]+)"', path.read_text(encoding="utf-8")))
    spans = re.findall(r"`([^`\n]+)`", FENCED.sub("", (ROOT / page).read_text(encoding="utf-8")))
    ours = [span for span in spans if not span.startswith(OF_OTHER_TOOLS)]
    named = [option for span in ours for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)]
    assert [option for option in named if option not in known] == []


@pytest.mark.parametrize(("page", "begin", "least"), [("performance", "", 8), ("reproduction", "\n## Run here\n", 7)])
def test_every_section_that_has_figures_shows_the_command_that_prints_them(page: str, begin: str, least: int) -> None:
    """Of the page on performance all sections, of that on the paper what was run here."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert begin in text
    _, *sections = re.split(r"\n##+ ", text[text.index(begin) :] if begin else text)
    assert len(sections) > least
    assert [section.partition("\n")[0] for section in sections if not any(commands_apart(section))] == []
