"""Decoded data sets on disk: read once, then mapped into memory by every worker, one copy a node.

A copy is a folder with images.npy, labels.npy and contents.json. It is written beside its place, synced and renamed,
so it is there whole or not at all; whoever opens it compares sizes and checksum, and a damaged one is made again.
Making one (downloading, decoding) happens under a lock of the file system: a second process waits, then finds it.

Mapped rather than put into Ray's object store: one copy a node either way, but these pages are the system's to drop
when memory is short, outlive the run, and need no Ray (`benchmarks/data_memory.py`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.checksum import checksum
from training.datasets.root import CACHE_VARIABLE

FORMAT = 1
"""Part of every copy's name: raised when the layout or what is decoded changes."""


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """All images of a data set: first the training, then the validation, then the test images."""

    images: NDArray[np.uint8]
    """(n, channels, height, width)."""
    labels: NDArray[np.int64]
    """(n,)."""
    sizes: tuple[int, int, int]
    """Images of each split."""
    content_hash: str = ""
    """Checksum of all of the above; filled in by `cached`."""


def cached(folder: Path, name: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays of a data set, mapped from the copy in `folder`; `build` makes them where there is none yet.

    The arrays are private to the process that writes to them; until then their memory is shared with all others.
    Raises what `build` raises, and ValueError where the folder cannot be written.
    """
    key = json.dumps([FORMAT, name])
    place = folder / f"{name}-{hashlib.blake2b(key.encode(), digest_size=6).hexdigest()}"
    if found := _open(place):
        return found
    with _reporting(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f"{name}.lock"):
        if found := _open(place):
            return found
        arrays = build()
        with _reporting(folder):
            _write(place, arrays)
        found = _open(place)
    if not found:
        raise ValueError(
            f"{place}: what was just written cannot be read back: check the disk, or name another folder by "
            f"{CACHE_VARIABLE}"
        )
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of that name, for as long as another process of this machine does waiting for it.

    A process that dies gives it back. The file stays: removing it would let two processes hold two locks.
    """
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open(place: Path) -> Arrays | None:
    """The copy at `place`, checked; None where there is none, or none that is whole."""
    try:
        contents = json.loads((place / "contents.json").read_text())
        # mode "c" is private, copy-on-write: torch takes it without a copy, and what nobody writes stays shared
        images = np.load(place / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = np.load(place / "labels.npy", mmap_mode="c", allow_pickle=False)
        sizes = tuple(contents["sizes"])
        if checksum(images, labels, np.array(sizes)) != contents["content_hash"]:
            return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Arrays(images=images, labels=labels, sizes=sizes, content_hash=contents["content_hash"])


def _write(place: Path, arrays: Arrays) -> None:
    beside = place.with_name(f".{place.name}-{uuid.uuid4().hex}")
    beside.mkdir()
    try:
        for name, array in (("images", arrays.images), ("labels", arrays.labels)):
            with (beside / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        contents = {
            "sizes": arrays.sizes,
            "content_hash": checksum(arrays.images, arrays.labels, np.array(arrays.sizes)),
        }
        with (beside / "contents.json").open("w") as text:
            json.dump(contents, text)
            text.flush()
            os.fsync(text.fileno())
        if place.exists():
            shutil.rmtree(place)  # damaged; whoever has mapped it keeps what it sees
        beside.rename(place)
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(beside)


@contextmanager
def _reporting(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{folder}: the decoded data set cannot be kept there ({error}): make room, or name another folder by "
            f"{CACHE_VARIABLE}"
        ) from None
