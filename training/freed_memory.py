"""Memory that a training step frees stays with the process until the next step, which asks for as much again.

glibc takes an allocation of 32 MiB and more from the system and gives it back when it is freed. A step on CPU frees and
takes such tensors by the dozen, and each comes back as pages that have to be cleared one by one
(`python -m benchmarks.freed_memory` says what that costs).
"""

from __future__ import annotations

import ctypes

KEPT_BELOW_BYTES = 512 << 20
"""Larger tensors still come from the system and go back to it."""
KEPT_AT_MOST_BYTES = 1 << 30
"""Free memory above what is in use, beyond which glibc gives it back."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_ constants of malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to keep what this process frees. False where there is no glibc, and nothing is changed."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no C library to ask (Windows), or another one (macOS, musl)
        return False
    return bool(mallopt(_MMAP_THRESHOLD, KEPT_BELOW_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, KEPT_AT_MOST_BYTES))
