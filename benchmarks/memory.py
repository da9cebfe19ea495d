"""How much memory a process holds, as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def peak_bytes() -> int:
    """The most this process has held at once. Of this program alone: getrusage's includes what its parent held."""
    return _status("VmHWM")


def resident_bytes() -> int:
    """What this process holds now."""
    return _status("VmRSS")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
