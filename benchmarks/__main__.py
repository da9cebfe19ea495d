"""All ratios in one table: what `make bench` prints, in under ten minutes on two cores.

    python -m benchmarks [--json] [--quick] [--device cpu] [--root ../shared/data]

Each row is a ratio of two ways timed in turn in one run: the simple one (masked dense training, SynFlow's rounds as one
would first write them, PIL, a careful user's loop) and ours. Each part is also a command of its own, with more repeats
and options: benchmarks.step, .evaluation, .scoring, .augmentation, .trials_per_hour. MFU is explained in
`benchmarks/efficiency.py`: "dense" of the simple way, "equivalent" of ours counted as if it did the dense network's
work (it may exceed 1), "compact" of ours by the work that is left.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import augmentation, evaluation, scoring, step, trials_per_hour
from benchmarks.efficiency import measured_peak, mfu

Row = dict[str, Any]
"""part, case, seconds of both ways, times_faster; of steps also mfu_dense, mfu_equivalent, mfu_compact."""

BATCH = 64


def steps(arguments: argparse.Namespace, peak: float) -> Iterator[Row]:
    """A training step by model, pruner and exponent."""
    options = argparse.Namespace(
        device=arguments.device,
        batch=BATCH,
        rounds=10 if arguments.quick else 100,
        repeats=1 if arguments.quick else 2,
        trained=0,
    )
    models = ["resnet20"] if arguments.quick else ["vgg16_bn", "resnet18", "resnet20"]
    exponents = [0.0, 2.0] if arguments.quick else [0.0, 1.0, 2.0, 3.0, 4.0]
    cells = [(pruner, exponent) for pruner in ("synflow", "snip", "random") for exponent in exponents]
    for model in models:
        for found in step.measure(model, cells, options):
            dense, small = found["reference_seconds"], found["compact_seconds"]
            collapsed = ", collapsed" if found["collapsed"] else ""
            yield {
                "part": "step",
                "case": f"{model} {found['pruner']} 10^{found['exponent']:g}{collapsed}",
                "simple_seconds": dense,
                "our_seconds": small,
                "times_faster": found["times_faster"],
                "mfu_dense": mfu(found["dense_macs"], BATCH, dense, peak),
                "mfu_equivalent": mfu(found["dense_macs"], BATCH, small, peak),
                "mfu_compact": mfu(found["compact_macs"], BATCH, small, peak),
            }


def evaluations(arguments: argparse.Namespace, peak: float) -> Iterator[Row]:
    """Evaluation of pruned networks."""
    options = argparse.Namespace(device=arguments.device, images=128, rounds=10 if arguments.quick else 30, repeats=2)
    for model in ["resnet20"] if arguments.quick else ["vgg16_bn", "resnet20"]:
        for found in evaluation.measure(model, [1.0, 3.0], options):
            yield {
                "part": "evaluation",
                "case": f"{model} synflow 10^{found['exponent']:g}",
                "simple_seconds": found["reference_seconds"],
                "our_seconds": found["compact_seconds"],
                "times_faster": found["times_faster"],
            }


def scorings(arguments: argparse.Namespace, peak: float) -> Iterator[Row]:
    """SynFlow's rounds, on the CPU."""
    name, rounds = ("vgg11_bn", 10) if arguments.quick else ("vgg16_bn", 100)
    torch.manual_seed(0)
    model = step.MODELS[name](input_shape=scoring.SHAPE, num_classes=100)
    simple, ours = scoring.measure(model, 3.0, rounds, repeats=1, simple=False)
    yield {
        "part": "scoring",
        "case": f"{name} synflow 10^3, {rounds} rounds",
        "simple_seconds": simple["seconds"],
        "our_seconds": ours["seconds"],
        "times_faster": ours["times_faster"],
    }


def augmentations(arguments: argparse.Namespace, peak: float) -> Iterator[Row]:
    """Augmented batches, on the CPU."""
    found = augmentation.measure(arguments.root, *((5, 2) if arguments.quick else (40, 3)))
    yield {
        "part": "augmentation",
        "case": f"{found['data']}, batch of {augmentation.BATCH}",
        "simple_seconds": 1 / found["batches_per_second_pil"],  # type: ignore[operator]
        "our_seconds": 1 / found["batches_per_second_ours"],  # type: ignore[operator]
        "times_faster": found["times_faster"],
    }


def whole_trials(arguments: argparse.Namespace, peak: float) -> Iterator[Row]:
    """Whole trials on a small grid, and which part comes from what; on the CPU."""
    size = "--quick" if arguments.quick else "--model resnet20 --exponents 0,1.5,3 --images 1024 --test-images 256"
    options = trials_per_hour.parser_of().parse_args([*size.split(), "--root", str(arguments.root)])
    options = trials_per_hour.settled(options)
    found = trials_per_hour.measure(options)
    first, *parts = found["parts"]
    total = found["trials_per_hour"]
    yield {
        "part": "whole trials",
        "case": f"{options.model}, {found['points']} points: {total['careful']:.0f} an hour -> {total['product']:.0f}",
        "simple_seconds": first["seconds"],
        "our_seconds": parts[-1]["seconds"],
        "times_faster": found["times_faster"],
    }
    for before, part in zip(found["parts"], parts, strict=False):
        yield {
            "part": "",
            "case": f"  from {part['part']}",
            "simple_seconds": before["seconds"],
            "our_seconds": part["seconds"],
            "times_faster": part["times_faster"],
        }


PARTS: list[Callable[[argparse.Namespace, float], Iterator[Row]]] = [
    steps,
    evaluations,
    scorings,
    augmentations,
    whole_trials,
]


def show(row: Row) -> None:
    """Print a row."""
    shares = " ".join(f"{row[name]:10.2f}" for name in ("mfu_dense", "mfu_equivalent", "mfu_compact") if name in row)
    print(
        f"{row['part']:13} {row['case']:66} {row['simple_seconds']:10.4f} {row['our_seconds']:10.4f} "
        f"{row['times_faster']:12.2f} {shares}".rstrip(),
        flush=True,
    )


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="small networks, once: whether it runs at all")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="of steps and evaluation")
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    start = time.monotonic()
    peak = measured_peak(device, quick=arguments.quick)
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    machine = scoring.machine() | {"dtype": "float32"} | gpu
    if not arguments.json:
        print(", ".join(f"{key} {value}" for key, value in machine.items()))
        print(", ".join(f"{name} {rate / 1e9:.1f} GFLOP/s" for name, rate in peak.items()))
        print(
            f"{'part':13} {'case':66} {'simple s':>10} {'ours s':>10} {'times faster':>12} "
            f"{'MFU dense':>10} {'equivalent':>10} {'compact':>10}"
        )
    rows = []
    for part in PARTS:
        for row in part(arguments, peak["peak"]):
            rows.append(row)
            if not arguments.json:
                show(row)
    seconds = time.monotonic() - start
    if arguments.json:
        json.dump({"machine": machine, "peak": peak, "rows": rows, "seconds": seconds}, sys.stdout, indent=2)
        print()
    else:
        print(f"{seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
