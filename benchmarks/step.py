"""Time of a training step: compact against the masked dense reference loop, timed in turn in one run.

    python -m benchmarks.step [--json] [--quick] [--models vgg16_bn,resnet18,resnet20] [--pruners synflow,snip,random]
                              [--exponents 0,1,2,3,4] [--repeats 5] [--batch 128]

A step is forward, backward, optimizer (Nesterov SGD with weight decay) and setting removed weights to zero, on random
32x32 images, float32, one thread. Each repeat times all ways one after the other; ratios are of medians. Seconds are
of processor time: others on the machine then disturb less. (*) Masks in the forward pass, the authors' way.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.compaction_exactness import MaskedDense
from benchmarks.scoring import machine
from models.cifar_resnet import resnet20
from models.resnet import resnet18
from models.vgg import vgg11_bn, vgg16_bn
from pruning.criteria.contract import PruneSet
from pruning.density import canonical_density
from pruning.masks import Masks
from pruning.prunable import prunable_weights
from pruning.prune import prune
from pruning.schedules import exponential
from pruning.scoring import prune_at_once, score_network
from training.build import build_criterion
from training.compaction.compact import NotCompacted, compact
from training.config import PrunerConfig, TrainingConfig
from training.masking import Removed, removed_weights, zero_removed
from training.optimizer import build_optimizer

SHAPE, NUM_CLASSES = (3, 32, 32), 100
MODELS = {"vgg11_bn": vgg11_bn, "vgg16_bn": vgg16_bn, "resnet18": resnet18, "resnet20": resnet20}
TRAINING = TrainingConfig(epochs=1, lr=0.01, weight_decay=5e-4)


def masks_of(model: nn.Module, pruner: str, exponent: float, num_rounds: int) -> Masks:
    """One-shot masks; SynFlow's in `num_rounds`."""
    criterion = build_criterion(PrunerConfig(name=pruner))
    density = canonical_density("compression_exponent", exponent)
    source = torch.Generator().manual_seed(0)
    data = PruneSet(
        inputs=torch.randn(256, *SHAPE, generator=source),
        targets=torch.randint(NUM_CLASSES, (256,), generator=source),
    )
    if pruner == "synflow":
        return prune_at_once(model, criterion, data, exponential(density, num_rounds), "global").masks  # type: ignore[arg-type]
    dtype = torch.float32
    return prune(
        lambda masks, number: score_network(model, masks, criterion, data, source, mode="train", dtype=dtype),
        {name: weight.detach() for name, weight in prunable_weights(model).items()},
        density,
    ).masks


def reference_step(model: nn.Module, removed: Removed, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """One step as `training.loop` does it."""
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    zero_removed(removed)


def masked_forward_step(network: MaskedDense, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """One step as the SynFlow authors' code and most others do it: weight times mask in the forward pass."""
    loss = F.cross_entropy(network(x), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def measure(name: str, pruner: str, exponent: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """One row: seconds of both ways, their ratio, what compaction cost and left."""
    torch.manual_seed(0)
    model = MODELS[name](input_shape=SHAPE, num_classes=NUM_CLASSES)
    masks = masks_of(model, pruner, exponent, arguments.rounds)
    start = time.process_time()
    small = compact(model, masks, SHAPE)
    compaction_seconds = time.process_time() - start
    assert not isinstance(small, NotCompacted)
    dense = copy.deepcopy(model).train()
    small.model.train()
    x, y = torch.randn(arguments.batch, *SHAPE), torch.randint(NUM_CLASSES, (arguments.batch,))
    ways: dict[str, Callable[[], None]] = {
        "reference": partial(
            reference_step, dense, removed_weights(dense, masks), build_optimizer(dense.parameters(), TRAINING), x, y
        ),
        "compact": partial(reference_step, small.model, small.removed_weights(), small.optimizer(TRAINING), x, y),
    }
    masked = MaskedDense(copy.deepcopy(dense), masks)
    ways["masks in forward"] = partial(
        masked_forward_step, masked, build_optimizer(masked.model.parameters(), TRAINING), x, y
    )
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for repeat in range(arguments.repeats + 1):
        for way, step in ways.items():
            # A short step is taken several times: one alone would measure what the other way left in the caches.
            count = 1 if way != "compact" or not seconds[way] else max(1, min(50, int(0.2 / seconds[way][-1])))
            start = time.process_time()
            for _ in range(count):
                step()
            if repeat:
                seconds[way].append((time.process_time() - start) / count)
    median = {way: statistics.median(times) for way, times in seconds.items()}
    return {
        "model": name,
        "pruner": pruner,
        "exponent": exponent,
        "reference_seconds": median["reference"],
        "masks_in_forward_seconds": median["masks in forward"],
        "compact_seconds": median["compact"],
        "times_faster": median["reference"] / median["compact"],
        "times_faster_than_masks_in_forward": median["masks in forward"] / median["compact"],
        "compaction_seconds": compaction_seconds,
        "units_left": small.facts.num_units_left / small.facts.num_units,
        "weights_left": small.facts.num_weights_left,
        "collapsed": not small.depends_on_images,
    }


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="resnet20 alone, few repeats: whether it runs at all")
    parser.add_argument("--models", default="vgg16_bn,resnet18,resnet20")
    parser.add_argument("--pruners", default="synflow,snip,random")
    parser.add_argument("--exponents", default="0,1,2,3,4")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=100, help="of SynFlow")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.models, arguments.exponents, arguments.repeats, arguments.rounds = "resnet20", "1,3", 1, 10
    torch.set_num_threads(1)
    rows = []
    if not arguments.json:
        print(", ".join(f"{key} {value}" for key, value in (machine() | {"dtype": "float32"}).items()))
        print(
            f"{'model':10} {'pruner':9} {'exponent':>8} {'reference s':>11} {'compact s':>10} {'times faster':>12} "
            f"{'(than *)':>8} {'compaction s':>12} {'units left':>10} {'weights left':>12}"
        )
    for name in arguments.models.split(","):
        for pruner in arguments.pruners.split(","):
            for exponent in map(float, arguments.exponents.split(",")):
                row = measure(name, pruner, exponent, arguments)
                rows.append(row)
                if not arguments.json:
                    print(
                        f"{name:10} {pruner:9} {exponent:8g} {row['reference_seconds']:11.4f} "
                        f"{row['compact_seconds']:10.4f} {row['times_faster']:12.2f} "
                        f"{row['times_faster_than_masks_in_forward']:8.2f} {row['compaction_seconds']:12.3f} "
                        f"{row['units_left']:10.3f} {row['weights_left']:12}{' collapsed' if row['collapsed'] else ''}",
                        flush=True,
                    )
    if arguments.json:
        print(json.dumps({"machine": machine() | {"dtype": "float32"}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
