"""What a trial takes of its GPU's memory, so that the next ones can share one by measure (`orchestrator/gpu_fit.py`).

Counted is what the process reserves, tensors or not: others cannot have it. Torch keeps what earlier trials of the
process freed, so a small trial after a large one counts as much as that did, which is what a process that runs both
takes; trials that are trained side by side count what they take together. For the same reason nothing is lost where
the count is set back in between (`training/fusion/grouping.py`). The CUDA context is not torch's and not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class GpuMemory:
    """What a trial took, and what there was; None on a CPU."""

    peak_gpu_bytes: int | None = None
    """The most that the process had reserved while the trial ran."""
    gpu_bytes: int | None = None
    """All memory of the GPU."""


def count_from_here(device: torch.device) -> None:
    """Begin a trial: what was reserved and given back before is not counted."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def taken_since(device: torch.device) -> GpuMemory:
    """What was taken since the count began."""
    if device.type != "cuda":
        return GpuMemory()
    return GpuMemory(
        peak_gpu_bytes=torch.cuda.max_memory_reserved(device),
        gpu_bytes=torch.cuda.get_device_properties(device).total_memory,
    )
