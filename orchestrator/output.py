"""What a trial prints, kept with its row: the end of it, however much there was, and however its process ended."""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

CHARACTERS_KEPT = 8_000
BYTES_KEPT = 4 * CHARACTERS_KEPT
"""By a `Mirror`: no character takes more than four."""
_COUNT = struct.Struct("<Q")


class Mirror:
    """The end of what was written, in a file that the system keeps when the process is killed: a ring of bytes."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_COUNT.size + BYTES_KEPT))
        with path.open("r+b") as file:
            self._ring = mmap.mmap(file.fileno(), 0)
        self._num_written = 0

    def write(self, content: bytes) -> None:
        """Take bytes, over those that are too long ago."""
        kept = content[-BYTES_KEPT:]
        start = (self._num_written + len(content) - len(kept)) % BYTES_KEPT
        first, rest = kept[: BYTES_KEPT - start], kept[BYTES_KEPT - start :]
        self._ring[_COUNT.size + start : _COUNT.size + start + len(first)] = first
        self._ring[_COUNT.size : _COUNT.size + len(rest)] = rest
        self._num_written += len(content)
        self._ring[: _COUNT.size] = _COUNT.pack(self._num_written)

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._ring.close()

    @staticmethod
    def read(path: Path) -> str:
        """What a process that is gone had written, in the form of `OutputTail.text`; "" where it left no such file."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return ""
        (num_written,), ring = _COUNT.unpack_from(content), content[_COUNT.size :]
        start = num_written % BYTES_KEPT if num_written > BYTES_KEPT else 0
        whole = (ring[start:] + ring[:start])[: min(num_written, BYTES_KEPT)]
        tail = OutputTail()
        tail.write(whole.decode("utf-8", "replace"))
        return tail.text


class OutputTail(io.TextIOBase):
    """A text stream that remembers its end only."""

    def __init__(self, mirror: Mirror | None = None) -> None:
        """With a `mirror`, it is told everything too."""
        self._end = ""
        self._num_written = 0
        self._mirror = mirror

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take text, forget what is too long ago."""
        self._num_written += len(text)
        self._end = (self._end + text[-CHARACTERS_KEPT:])[-CHARACTERS_KEPT:]
        if self._mirror:
            self._mirror.write(text[-CHARACTERS_KEPT:].encode("utf-8", "backslashreplace"))
        return len(text)

    @property
    def text(self) -> str:
        """The end, saying how much is missing; as any file can hold it."""
        missing = self._num_written - len(self._end)
        start = f"... {missing:,} characters before\n" if missing else ""
        return (start + self._end).encode("utf-8", "backslashreplace").decode()


@contextmanager
def captured(mirrored_in: Path | None = None) -> Iterator[OutputTail]:
    """What Python code of this process prints to either stream meanwhile; what libraries in C print is not seen.

    While it lasts, the file `mirrored_in` holds it as well (`Mirror`).
    """
    mirror = Mirror(mirrored_in) if mirrored_in else None
    tail = OutputTail(mirror)
    try:
        with redirect_stdout(tail), redirect_stderr(tail):
            yield tail
    finally:
        if mirror and mirrored_in:
            mirror.close()
            mirrored_in.unlink(missing_ok=True)
