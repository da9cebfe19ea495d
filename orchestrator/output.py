"""What a trial prints, kept with its row: the end of it, however much there was."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

CHARACTERS_KEPT = 8_000


class OutputTail(io.TextIOBase):
    """A text stream that remembers its end only."""

    def __init__(self) -> None:
        self._end = ""
        self._num_written = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take text, forget what is too long ago."""
        self._num_written += len(text)
        self._end = (self._end + text[-CHARACTERS_KEPT:])[-CHARACTERS_KEPT:]
        return len(text)

    @property
    def text(self) -> str:
        """The end, saying how much is missing; as any file can hold it."""
        missing = self._num_written - len(self._end)
        start = f"... {missing:,} characters before\n" if missing else ""
        return (start + self._end).encode("utf-8", "backslashreplace").decode()


@contextmanager
def captured() -> Iterator[OutputTail]:
    """What Python code of this process prints to either stream meanwhile; what libraries in C print is not seen."""
    tail = OutputTail()
    with redirect_stdout(tail), redirect_stderr(tail):
        yield tail
