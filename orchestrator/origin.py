"""Where a sweep file was written: its folder, and the state of the repository around it.

A submitted sweep runs from a copy that no git knows: `submit` ships this beside the file, and runs record what it says.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

ORIGIN_FILE = ".prunesweep-origin.json"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The folder of a sweep file, on the machine where it was written."""

    folder: str
    git_commit: str | None
    git_dirty: bool | None

    def to_json(self) -> str:
        """As `origin_of` reads it."""
        return json.dumps(asdict(self), indent=1)


def origin_of(folder: Path) -> Origin:
    """What was shipped with the sweep file, else what git says of the folder."""
    shipped = folder / ORIGIN_FILE
    if shipped.is_file():
        return Origin(**json.loads(shipped.read_text(encoding="utf-8")))
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    new_code = _git(folder, "ls-files", "--others", "--exclude-standard", "--", "*.py")
    return Origin(
        folder=str(folder),
        git_commit=_git(folder, "rev-parse", "HEAD"),
        git_dirty=None if status is None else bool(status or new_code),
    )


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
