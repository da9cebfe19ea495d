"""The one place that chooses a device and fixes what makes results repeat bit for bit on it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from training.freed_memory import keep_freed_memory

ENGINES = ("compact", "fused", "reference")


@dataclass(frozen=True, kw_only=True)
class ExecutionClass:
    """Results of one configuration are bit-equal within a class and agree to rounding across classes."""

    device: str
    """"cpu" or "cuda"."""
    dtype: str
    """Precision of training: "float32", or "bf16" (autocast)."""
    engine: str
    """"reference": dense tensors, masked after every step; "compact": the small network that is left; "fused":
    several of those at a time, to rounding."""
    threads: int


def prepare_device(requested: str = "auto", engine: str = "reference") -> tuple[torch.device, ExecutionClass]:
    """The device for this process and its execution class. Call once, before any work.

    `requested` is "auto" (a GPU where there is one), "cpu" or "cuda". One thread a trial: sparse networks gain
    nothing from more (measured 1.7x slower), and sums then have one order. Raises ValueError for "cuda" without one and
    for an unknown engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: expected one of {', '.join(ENGINES)}")
    if requested not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device {requested!r}: expected 'auto', 'cpu' or 'cuda'")
    if requested == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': torch sees no GPU here; use --device cpu, or auto to take what there is")
    use_gpu = requested != "cpu" and torch.cuda.is_available()
    torch.set_num_threads(1)
    if use_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats bits only with a fixed workspace
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    else:
        keep_freed_memory()
    device = torch.device("cuda" if use_gpu else "cpu")
    return device, ExecutionClass(device=device.type, dtype="float32", engine=engine, threads=1)
