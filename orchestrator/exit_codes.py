"""What a command's exit status means."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit status means."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    INTERRUPTED = 3
    OUR_FAULT = 4
    OUT_OF_TIME = 5
    """`run --within`: no further trial would have ended in time. Resumable."""
