"""Small networks trained side by side against one by one: seconds of a step of each network.

    python -m benchmarks.fused [--json] [--models vgg11_bn,resnet20] [--pruner synflow] [--exponents 1,2,3,4]
                               [--numbers 2,4,8,16] [--batch 128] [--repeats 3] [--device cpu]

Networks of one architecture, pruner and sparsity, each initialised and pruned by a seed of its own, on random 32x32
images, those of a seed each. "One by one" is the compact engine's step of each network in turn; "at a time" is what the
fused engine would choose by itself (`training.fusion.grouping`), timed in turn with the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.efficiency import clock
from benchmarks.scoring import machine
from benchmarks.step import MODELS, NUM_CLASSES, SHAPE, TRAINING, masks_of, timed
from pruning.masks import Masks
from training.compaction.compact import Compacted, NotCompacted, compact
from training.datasets.contract import Dataset, Split
from training.device import prepare_device
from training.engines import Trainee
from training.fusion.grouping import Candidate, fastest_number
from training.fusion.reading import Reading, read
from training.fusion.together import Together
from training.journey import Journey
from training.loop import Training


@dataclass(frozen=True)
class Network:
    """One network, as the compact engine and as the fused engine trains it."""

    alone: Training
    beside: Training
    reading: Reading


def networks(name: str, pruner: str, exponent: float, arguments: argparse.Namespace) -> list[Network]:
    """As many of one signature as are asked for, of so many seeds or more."""
    device = torch.device(arguments.device)
    dataset = random_images(arguments.batch).to(device)
    kinds: dict[str, list[Network]] = {}
    most = max(arguments.numbers)
    for seed in range(2 * most):
        torch.manual_seed(seed)
        model = MODELS[name](input_shape=SHAPE, num_classes=NUM_CLASSES)
        masks: Masks = masks_of(model, pruner, [exponent], arguments.rounds)[exponent]
        masks = {key: mask.to(device) for key, mask in masks.items()}
        smalls = [compact(model.to(device), masks, SHAPE, every_layer=every) for every in (False, True)]
        alone, beside = (small for small in smalls if not isinstance(small, NotCompacted))
        if not alone.depends_on_images:
            continue
        reading = read(beside.model, SHAPE)
        alike = kinds.setdefault(reading.signature, [])
        alike.append(Network(in_training(alone, dataset, seed), in_training(beside, dataset, seed), reading))
        if len(alike) == most:
            break
    return max(kinds.values(), key=len, default=[])


def in_training(small: Compacted, dataset: Dataset, seed: int) -> Training:
    """A small network before its first step."""
    trainee = Trainee(model=small.model, removed=small.removed_weights(), optimizer=small.optimizer(TRAINING))
    return Training(trainee, dataset, TRAINING, order_seed=seed)


def random_images(batch: int) -> Dataset:
    """A batch of training images."""
    source = torch.Generator().manual_seed(0)
    images = torch.randn(batch, *SHAPE, generator=source)
    split = Split(images=images, labels=torch.randint(NUM_CLASSES, (batch,), generator=source))
    return Dataset(train=split, validation=split, test=split, num_classes=NUM_CLASSES)


def measure(found: list[Network], arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step of a network, by how many are trained at a time."""
    device = torch.device(arguments.device)
    batch = next(found[0].alone.batches(1))
    numbers = [number for number in arguments.numbers if number <= len(found)]
    ways: dict[Any, Callable[[], object]] = {1: partial(one_by_one, found, batch)}
    for number in numbers:
        together = Together([one.beside for one in found[:number]], [one.reading for one in found[:number]])
        ways[number] = partial(together.take_step, [batch] * number, TRAINING.lr)
    seconds = timed(ways, arguments.repeats, device)
    each = {number: seconds[number] / number for number in numbers}
    alone = seconds[1] / len(found)
    candidates = [Candidate(cast(Journey, None), one.beside, one.reading, 1) for one in found]
    return {
        "networks": len(found),
        "seconds_one_by_one": alone,
        "times_faster": {number: alone / took for number, took in each.items()},
        "chosen": fastest_number(candidates),
    }


def one_by_one(found: list[Network], batch: tuple[Tensor, Tensor]) -> None:
    """A step of each network, as the compact engine takes it."""
    for one in found:
        one.alone._take_step(*batch)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--models", default="vgg11_bn,resnet20")
    parser.add_argument("--pruner", default="synflow")
    parser.add_argument("--exponents", default="1,2,3,4")
    parser.add_argument("--numbers", default="2,4,8,16", type=lambda text: [int(one) for one in text.split(",")])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=100, help="of SynFlow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    prepare_device(arguments.device)
    rows = []
    if not arguments.json:
        print(", ".join(f"{key} {value}" for key, value in (machine() | {"dtype": "float32"}).items()))
        heads = "".join(f"{number:>8}" for number in arguments.numbers)
        print(f"{'model':10} {'exponent':>8} {'alike':>6} {'alone, ms':>10}   times faster with{heads}   chosen")
    for name in arguments.models.split(","):
        for exponent in map(float, arguments.exponents.split(",")):
            start = clock(torch.device("cpu"))
            found = networks(name, arguments.pruner, exponent, arguments)
            if not found:
                print(f"{name:10} {exponent:8g} all collapsed")
                continue
            row = {"model": name, "exponent": exponent, **measure(found, arguments)}
            rows.append(row | {"seconds": clock(torch.device("cpu")) - start})
            if not arguments.json:
                times = "".join(
                    f"{row['times_faster'][number]:8.2f}" if number in row["times_faster"] else " " * 8
                    for number in arguments.numbers
                )
                alone = 1000 * row["seconds_one_by_one"]
                print(
                    f"{name:10} {exponent:8g} {row['networks']:6} {alone:10.2f}{'':20}{times} {row['chosen']:8}",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps({"machine": machine() | {"dtype": "float32"}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
