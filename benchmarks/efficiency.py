"""How much of the machine a training step uses: the machine's peak, and model FLOP utilisation.

    python -m benchmarks.efficiency [--device cpu]

MFU = 6 * MACs_per_image * batch / (step_seconds * P): a multiplication and an addition for each of three products
(forward, gradient of the inputs, gradient of the weights), over P, the floating-point operations a second that the best
of a large matrix product and a 256-channel 3x3 convolution reach here, in the same dtype and with the same threads.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def clock(device: torch.device) -> float:
    """Seconds: of processor time on a CPU, which others disturb less; by the clock, all work done, on a GPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def mfu(macs: int, batch: int, step_seconds: float, peak: float) -> float:
    """Share of `peak`, in floating-point operations a second, that a training step does useful work at."""
    return 6 * macs * batch / (step_seconds * peak)


def measured_peak(device: torch.device, *, quick: bool = False) -> dict[str, float]:
    """Floating-point operations a second, float32: of a matrix product, of a convolution, and the better as "peak"."""
    size, images = (512, 4) if quick else (2048, 32)
    left, right = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    maps = torch.randn(images, 256, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, device=device).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found = {
            "matmul": _rate(lambda: left @ right, 2 * size**3, device),
            "convolution": _rate(lambda: F.conv2d(maps, weight, padding=1), 2 * 9 * 256 * maps.numel(), device),
        }
    return found | {"peak": max(found.values())}


def _rate(work: Callable[[], Tensor], num_operations: int, device: torch.device, repeats: int = 5) -> float:
    work()
    best = float("inf")
    for _ in range(repeats):
        start = clock(device)
        work()
        best = min(best, clock(device) - start)
    return num_operations / best


def main() -> None:
    """Print the machine's peak as JSON, in floating-point operations a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--quick", action="store_true", help="small products: whether it runs at all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(measured_peak(torch.device(arguments.device), quick=arguments.quick), indent=2))


if __name__ == "__main__":
    main()
