"""What keeping freed memory saves of a training step on CPU, and what it costs (`training/freed_memory.py`).

    python -m benchmarks.freed_memory [--repeats 3] [--batch 128]

Each repeat times three steps of a small network of SynFlow's in a process that keeps what it frees and in one that does
not, in turn; processor seconds, one thread. Page faults are of the last step, peaks of the whole process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from functools import partial

import torch

from benchmarks.step import MODELS, NUM_CLASSES, SHAPE, TRAINING, masks_of, reference_step
from training.compaction.compact import NotCompacted, compact
from training.freed_memory import keep_freed_memory

CELLS = (("vgg16_bn", 1.0), ("vgg16_bn", 2.0), ("resnet18", 1.0), ("resnet20", 1.0))
NUM_ROUNDS = 10


def measure(name: str, exponent: float, batch: int) -> tuple[float, int, float]:
    """Seconds of the fastest of three steps, page faults of the last, and the process's peak in GB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = MODELS[name](input_shape=SHAPE, num_classes=NUM_CLASSES)
    small = compact(model, masks_of(model, "synflow", [exponent], NUM_ROUNDS)[exponent], SHAPE)
    assert not isinstance(small, NotCompacted)
    small.model.train()
    x, y = torch.randn(batch, *SHAPE), torch.randint(NUM_CLASSES, (batch,))
    step = partial(reference_step, small.model, small.removed_weights(), small.optimizer(TRAINING), x, y)
    step()
    seconds, faults = [], 0
    for _ in range(3):
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        step()
        seconds.append(time.process_time() - start)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return min(seconds), faults, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Print a row a network; with --cell, what one process measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--cell", type=int, help="measure this row alone, in this process")
    parser.add_argument("--keep", action="store_true", help="with --cell: keep freed memory")
    arguments = parser.parse_args()
    if arguments.cell is not None:
        if arguments.keep and not keep_freed_memory():
            sys.exit("no glibc here")
        print(*measure(*CELLS[arguments.cell], arguments.batch))
        return
    print("network    exponent   given back      kept  times faster          faults     peak GB")
    for number, (name, exponent) in enumerate(CELLS):
        ways: dict[str, list[list[float]]] = {"": [], "--keep": []}
        for _ in range(arguments.repeats):
            for option, results in ways.items():
                command = [sys.executable, "-m", "benchmarks.freed_memory", "--batch", str(arguments.batch)]
                command += ["--cell", str(number), *([option] if option else [])]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                results.append([float(one) for one in printed.split()])
        back, kept = ([statistics.median(column) for column in zip(*one, strict=True)] for one in ways.values())
        print(
            f"{name:10} {exponent:8g} {back[0]:10.3f} s {kept[0]:7.3f} s {back[0] / kept[0]:13.2f} "
            f"{back[1]:8.0f} {kept[1]:6.0f} {back[2]:5.2f} {kept[2]:5.2f}"
        )


if __name__ == "__main__":
    main()
