"""Errors that are the user's to fix, and how a wrong name finds the right one."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

UNWRITABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)
"""System errors that are about the place where results go."""


class BadInput(ValueError):
    """Something asked for cannot be done as asked; the message says what, why and what to do. Exit code 2."""


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """A clause naming the nearest valid choice, or all of them where none is near.

    >>> did_you_mean("sinflow", ["snip", "synflow"])
    "did you mean 'synflow'?"
    """
    choices = list(valid)
    near = difflib.get_close_matches(wrong, choices, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(choices))}"
