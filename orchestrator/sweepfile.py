"""Read a sweep file: YAML 1.2, no duplicate keys, and every complaint with its file, line and key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from orchestrator.errors import BadInput
from orchestrator.sweep import Sweep

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class SweepFile:
    """A sweep and the text it was read from."""

    sweep: Sweep
    text: str
    folder: Path
    """Where the file lies: a user's own modules are looked for here."""

    @property
    def hash(self) -> str:
        """Of the text: the name under which a store keeps it."""
        return hashlib.blake2b(self.text.encode(), digest_size=6).hexdigest()


def read_sweep_file(path: Path) -> SweepFile:
    """Load and validate a sweep file. Raises BadInput naming file, line, key and remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a sweep file: {error}") from None
    return parse_sweep(text, name=str(path), folder=path.resolve().parent)


def parse_sweep(text: str, *, name: str, folder: Path) -> SweepFile:
    """Validate the text of a sweep file; `name` is what complaints call it."""
    try:
        document = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{name}:{line}: not valid YAML: {error.problem}") from None
    except YAMLError as error:
        raise BadInput(f"{name}: not valid YAML: {error}") from None
    except (TypeError, ValueError) as error:  # a tag with a value of the wrong kind
        raise BadInput(f"{name}: not valid YAML: {error}") from None
    if not isinstance(document, CommentedMap):
        raise BadInput(
            f"{name}:1: expected keys such as 'name', 'dataset', 'model', 'pruner'; `prunesweep init` writes an example"
        )
    lines: dict[KeyPath, int] = {}
    try:
        plain = _plain(document, (), lines)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None
    try:
        sweep = Sweep.model_validate(plain)
    except ValidationError as error:
        raise BadInput("\n".join(_complaint(name, lines, problem) for problem in error.errors())) from None
    return SweepFile(sweep=sweep, text=text, folder=folder)


def _plain(node: Any, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    """The node in plain Python types; the line of every key and item goes into `lines`. Raises BadInput for a tag."""
    if tag := getattr(getattr(node, "tag", None), "value", None):
        key = ".".join(str(step) for step in path)
        raise BadInput(f"{key}: a value with a tag ({tag}) is not read: write it without")
    if isinstance(node, CommentedMap):
        for key in node:
            lines[(*path, key)] = node.lc.key(key)[0] + 1
        return {key: _plain(value, (*path, key), lines) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[(*path, index)] = node.lc.item(index)[0] + 1
        return [_plain(value, (*path, index), lines) for index, value in enumerate(node)]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _complaint(name: str, lines: dict[KeyPath, int], problem: Any) -> str:
    """One line a person can act on. Pydantic's path has steps that the file has not: the longest known one counts."""
    known: KeyPath = ()
    for step in problem["loc"]:
        if (*known, step) in lines:
            known = (*known, step)
    at = problem.get("ctx", {}).get("at")
    for step in at if isinstance(at, list) else [at]:
        if (*known, step) in lines:
            known = (*known, step)
    key = ".".join(str(step) for step in known) or "the file"
    where = f"{name}:{lines.get(known, 1)}: {key}"
    if problem["type"] == "missing":
        missing = problem["loc"][-1]
        return f"{where}: {missing!r} is missing; `prunesweep init` writes an example with every key"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict | list) or repr(value) in message else f" (got {value!r})"
    return f"{where}: {message}{shown}"
