"""Where commands print."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

# bound now: while Ray runs, sys.stdout takes what Ray prints; no emoji: a pruner may be called mine:X
out = Console(file=sys.stdout, emoji=False)
err = Console(file=sys.stderr, emoji=False)


def print_json(value: Any) -> None:
    """Print a value as JSON, past rich."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_line(value: Any) -> None:
    """One of several values, each on a line of its own: also while Ray runs, which keeps sys.stdout to itself."""
    out.file.write(json.dumps(value, ensure_ascii=False) + "\n")
    out.file.flush()
