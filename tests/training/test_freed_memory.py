"""Freed memory is kept: asking for as much again brings no page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ASK_AGAIN_AND_AGAIN = """
import resource, sys
import torch
from training.freed_memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults = []
for _ in range(10):
    tensors = [torch.empty(size << 20, dtype=torch.uint8).fill_(1) for size in (40, 80, 40)]
    del tensors
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
# the fewest of the last rounds: a busy system takes pages away and moves them about now and then
print(min(after - before for before, after in zip(faults[4:], faults[5:])))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
@pytest.mark.parametrize("way", ["keep", "give back"])
def test_what_was_freed_is_there_without_page_faults(way: str) -> None:
    command = [sys.executable, "-c", ASK_AGAIN_AND_AGAIN, way]
    faults = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    # 160 MiB are 40,960 pages, or 80 huge ones
    assert faults < 16 if way == "keep" else faults >= 80
