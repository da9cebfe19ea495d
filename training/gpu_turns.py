"""Who may use a GPU that several processes of a machine share: all at once, or one alone after memory ran out.

Fractions of a GPU (`gpu: 0.25`) share its memory without a border. A trial that runs out of it waits until its
neighbours are through with the trials they are at, and is tried again while they wait; then all go on as before. Two
file locks do it, which the system releases when a process dies: `turn` is held while a trial runs, by many or by one;
`gate` is passed to get there, so that whoever wants to be alone is not overtaken for ever.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


class GpuTurns:
    """The turns of one GPU."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is the same for all processes that share the GPU; None is no GPU, where nobody waits."""
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def of(cls, device: torch.device) -> GpuTurns:
        """The turns of a device; a CPU's memory is not shared out by trials."""
        if device.type != "cuda":
            return cls(None)
        name = f"prunesweep-{os.getuid()}-gpu-{torch.cuda.get_device_properties(device).uuid}"
        return cls(Path(tempfile.gettempdir()) / name)

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """While a trial runs as usual."""
        if self._folder is None:
            yield
            return
        with self._locked("turn") as turn:
            with self._locked("gate", fcntl.LOCK_EX):
                fcntl.flock(turn, fcntl.LOCK_SH)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While a trial runs and no other does; waits for those that are running."""
        if self._folder is None:
            yield
            return
        with self._locked("gate", fcntl.LOCK_EX), self._locked("turn", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, name: str, how: int | None = None) -> Iterator[int]:
        assert self._folder is not None
        with (self._folder / name).open("w") as stream:  # closing it lets go of the lock
            if how is not None:
                fcntl.flock(stream, how)
            yield stream.fileno()
