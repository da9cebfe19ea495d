"""Where data sets lie and where their decoded copies are kept: the one place that knows.

The root is where, not what: it is no part of a trial's identity.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT_VARIABLE = "PRUNESWEEP_DATA"
CACHE_VARIABLE = "PRUNESWEEP_CACHE"
HOW_TO_NAME_A_ROOT = f"--data-root, data_root in the sweep file, or {ROOT_VARIABLE}"
CACHE_NAME = "prunesweep-cache"


def data_root(given: str | Path | None = None) -> Path:
    """The folder of data sets, absolute: `given`, else $PRUNESWEEP_DATA, else ~/.cache/prunesweep/data."""
    chosen = given or os.environ.get(ROOT_VARIABLE) or _user_cache() / "data"
    return Path(chosen).expanduser().absolute()


def cache_folder(root: Path) -> Path:
    """Where decoded copies of the data sets under `root` are kept: $PRUNESWEEP_CACHE, else a folder under the root.

    For a root that is not ours to write it is the user's cache folder. There, and under $PRUNESWEEP_CACHE, each root
    has a folder of its own.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if not named and _is_writable(root):
        return root / CACHE_NAME
    own = hashlib.blake2b(str(root.resolve()).encode(), digest_size=6).hexdigest()
    return (Path(named).expanduser().absolute() if named else _user_cache()) / own


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "prunesweep"


def _is_writable(folder: Path) -> bool:
    """Whether files may be made in a folder, or in the nearest parent that exists.

    No write bit is a no, also to root, whom the system would let through.
    """
    while not folder.exists():
        folder = folder.parent
    return bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)
