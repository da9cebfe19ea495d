"""Time to evaluate a pruned network: compact against masked dense, timed in turn in one run.

    python -m benchmarks.evaluation [--json] [--quick] [--models vgg16_bn,resnet18,resnet20] [--exponents 1,2,3]
                                    [--images 256] [--repeats 3] [--device cpu]

SynFlow's masks, random 32x32 images, float32, one thread; loss and accuracies as after every epoch.
"""

from __future__ import annotations

import argparse
import copy
import json
from functools import partial
from typing import Any

import torch

from benchmarks.scoring import machine
from benchmarks.step import MODELS, NUM_CLASSES, REFERENCE, SHAPE, masks_of, timed
from training.compaction.compact import NotCompacted, compact
from training.datasets.contract import Split
from training.evaluate import evaluate
from training.masking import removed_weights, zero_removed


def measure(name: str, exponents: list[float], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row an exponent: seconds of both ways, their ratio, and how far their losses are apart."""
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    model = MODELS[name](input_shape=SHAPE, num_classes=NUM_CLASSES)
    pruned = masks_of(model, "synflow", exponents, arguments.rounds)
    model.to(device)
    images = torch.randn(arguments.images, *SHAPE)
    split = Split(images=images, labels=torch.randint(NUM_CLASSES, (arguments.images,))).to(device)
    rows = []
    for exponent, masks in pruned.items():
        on_device = {weight: mask.to(device) for weight, mask in masks.items()}
        small = compact(model, on_device, SHAPE)
        assert not isinstance(small, NotCompacted)
        dense = copy.deepcopy(model)
        zero_removed(removed_weights(dense, on_device))
        ways = {REFERENCE: partial(evaluate, dense, split), "compact": partial(evaluate, small.model, split)}
        losses = {way: result.loss for way, evaluated in ways.items() if (result := evaluated())}
        seconds = timed(ways, arguments.repeats, device)
        rows.append(
            {
                "model": name,
                "exponent": exponent,
                "reference_seconds": seconds[REFERENCE],
                "compact_seconds": seconds["compact"],
                "times_faster": seconds[REFERENCE] / seconds["compact"],
                "loss_difference": abs(losses[REFERENCE] - losses["compact"]),
            }
        )
    return rows


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="resnet20 alone, few images: whether it runs at all")
    parser.add_argument("--models", default="vgg16_bn,resnet18,resnet20")
    parser.add_argument("--exponents", default="1,2,3")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=100, help="of SynFlow")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.models, arguments.exponents, arguments.rounds = "resnet20", "2", 10
        arguments.images, arguments.repeats = 64, 1
    torch.set_num_threads(1)
    exponents = [float(one) for one in arguments.exponents.split(",")]
    rows = [row for name in arguments.models.split(",") for row in measure(name, exponents, arguments)]
    if arguments.json:
        print(json.dumps({"machine": machine() | {"dtype": "float32"}, "rows": rows}, indent=2))
        return
    print(f"{'model':10} {'exponent':>8} {'reference s':>11} {'compact s':>10} {'times faster':>12} {'loss apart':>10}")
    for row in rows:
        print(
            f"{row['model']:10} {row['exponent']:8g} {row['reference_seconds']:11.4f} {row['compact_seconds']:10.4f} "
            f"{row['times_faster']:12.2f} {row['loss_difference']:10.1e}"
        )


if __name__ == "__main__":
    main()
