"""Time of a training step: compact against the masked dense reference loop, timed in turn in one run.

    python -m benchmarks.step [--json] [--quick] [--models vgg16_bn,resnet18,resnet20] [--pruners synflow,snip,random]
                              [--exponents 0,1,2,3,4] [--repeats 5] [--batch 128] [--trained 0] [--device cpu]

A step is forward, backward, optimizer (Nesterov SGD with weight decay) and setting removed weights to zero, on random
32x32 images, float32, one thread. Each repeat times all ways one after the other; ratios are of medians. Seconds are
of processor time: others on the machine then disturb less. (*) Masks in the forward pass, the authors' way.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.compaction_exactness import MaskedDense
from benchmarks.efficiency import clock
from benchmarks.scoring import machine
from models.cifar_resnet import resnet20
from models.resnet import resnet18
from models.vgg import vgg11_bn, vgg16_bn
from pruning.criteria.contract import PruneSet
from pruning.density import canonical_density
from pruning.masks import Masks, Scores, all_kept
from pruning.prunable import prunable_weights
from pruning.prune import prune
from pruning.schedules import exponential
from pruning.scoring import prune_at_once, score_network
from training.build import build_criterion
from training.compaction.compact import NotCompacted, compact
from training.config import PrunerConfig, TrainingConfig
from training.macs import macs_per_image
from training.masking import Removed, removed_weights, zero_removed
from training.optimizer import build_optimizer

SHAPE, NUM_CLASSES = (3, 32, 32), 100
MODELS = {"vgg11_bn": vgg11_bn, "vgg16_bn": vgg16_bn, "resnet18": resnet18, "resnet20": resnet20}
REFERENCE, MASKS_IN_FORWARD = "reference", "masks in forward"
TRAINING = TrainingConfig(epochs=1, lr=0.01, weight_decay=5e-4)


def masks_of(model: nn.Module, pruner: str, exponents: list[float], num_rounds: int) -> dict[float, Masks]:
    """One-shot masks by compression exponent, of one scoring; SynFlow's in `num_rounds`."""
    criterion = build_criterion(PrunerConfig(name=pruner))
    source = torch.Generator().manual_seed(0)
    data = PruneSet(
        inputs=torch.randn(256, *SHAPE, generator=source),
        targets=torch.randint(NUM_CLASSES, (256,), generator=source),
    )
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    scored: list[Scores] = []

    def score(masks: Masks, number: int) -> Scores:
        if not scored:
            scored.append(score_network(model, masks, criterion, data, source, mode="train", dtype=torch.float32))
        return scored[0]

    found = {}
    for exponent in exponents:
        density = canonical_density("compression_exponent", exponent)
        if density == 1:
            found[exponent] = all_kept(weights)
        elif pruner == "synflow":
            densities = exponential(density, num_rounds)
            found[exponent] = prune_at_once(model, criterion, data, densities, "global").masks  # type: ignore[arg-type]
        else:
            found[exponent] = prune(score, weights, density).masks
    return found


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


def measure(name: str, cells: list[tuple[str, float]], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a cell, (pruner, exponent): seconds of all ways, their ratios, what compaction cost and left.

    What masked dense training takes does not depend on which weights are masked: one network of each such way is
    timed in turn with the small networks of all cells. Exponent 0 is one network for all pruners.
    """
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    model = trained(MODELS[name](input_shape=SHAPE, num_classes=NUM_CLASSES), arguments.trained)
    distinct = {cell: cell if cell[1] else (cells[0][0], 0.0) for cell in cells}
    masks = {}
    for pruner in dict.fromkeys(pruner for pruner, _ in cells):
        exponents = [exponent for one, exponent in dict.fromkeys(distinct.values()) if one == pruner]
        for exponent, kept in masks_of(model, pruner, exponents, arguments.rounds).items():
            masks[pruner, exponent] = {name: mask.to(device) for name, mask in kept.items()}
    model.to(device)
    x = torch.randn(arguments.batch, *SHAPE, device=device)
    y = torch.randint(NUM_CLASSES, (arguments.batch,), device=device)
    small, compaction_seconds = {}, {}
    ways: dict[Any, Callable[[], object]] = {}
    for cell, kept in masks.items():
        start = clock(device)
        found = compact(model, kept, SHAPE)
        compaction_seconds[cell] = clock(device) - start
        assert not isinstance(found, NotCompacted)
        small[cell] = found
        found.model.train()
        step = partial(reference_step, found.model, found.removed_weights(), found.optimizer(TRAINING), x, y)
        ways[cell] = step
    pruned = next((kept for cell, kept in masks.items() if cell[1]), next(iter(masks.values())))
    seconds = timed(ways | dense_ways(model, pruned, x, y), arguments.repeats, device)
    dense_macs = macs_per_image(model, SHAPE)
    rows = []
    for (pruner, exponent), cell in distinct.items():
        rows.append(
            {
                "model": name,
                "pruner": pruner,
                "exponent": exponent,
                "reference_seconds": seconds[REFERENCE],
                "masks_in_forward_seconds": seconds[MASKS_IN_FORWARD],
                "compact_seconds": seconds[cell],
                "times_faster": seconds[REFERENCE] / seconds[cell],
                "times_faster_than_masks_in_forward": seconds[MASKS_IN_FORWARD] / seconds[cell],
                "compaction_seconds": compaction_seconds[cell],
                "units_left": small[cell].facts.num_units_left / small[cell].facts.num_units,
                "weights_left": small[cell].facts.num_weights_left,
                "collapsed": not small[cell].depends_on_images,
                "dense_macs": dense_macs,
                "compact_macs": macs_per_image(small[cell].model, SHAPE),
            }
        )
    return rows


def trained(model: nn.Module, num_steps: int) -> nn.Module:
    """`model` after steps of dense training: units that nothing feeds then emit constants instead of zeros."""
    optimizer = build_optimizer(model.parameters(), TRAINING)
    for _ in range(num_steps):
        reference_step(model, [], optimizer, torch.randn(64, *SHAPE), torch.randint(NUM_CLASSES, (64,)))
    return model


def dense_ways(model: nn.Module, masks: Masks, x: Tensor, y: Tensor) -> dict[Any, Callable[[], object]]:
    """Steps of the whole network: masked once after the step, as the reference engine does, and in the forward pass."""
    dense, masked = copy.deepcopy(model).train(), MaskedDense(copy.deepcopy(model).train(), masks)
    optimizer = build_optimizer(dense.parameters(), TRAINING)
    return {
        REFERENCE: partial(reference_step, dense, removed_weights(dense, masks), optimizer, x, y),
        MASKS_IN_FORWARD: partial(
            masked_forward_step, masked, build_optimizer(masked.model.parameters(), TRAINING), x, y
        ),
    }


def timed(ways: Mapping[Any, Callable[[], object]], repeats: int, device: torch.device) -> dict[Any, float]:
    """Median seconds of a step of each way, timed in turn after one round that does not count."""
    seconds: dict[Any, list[float]] = {way: [] for way in ways}
    last = dict.fromkeys(ways, 1.0)
    for repeat in range(repeats + 1):
        for way, step in ways.items():
            # A short step is taken several times: one alone would measure what the other way left in the caches.
            count = max(1, min(50, int(0.2 / last[way])))
            start = clock(device)
            for _ in range(count):
                step()
            last[way] = max((clock(device) - start) / count, 1e-6)
            if repeat:
                seconds[way].append(last[way])
    return {way: statistics.median(times) for way, times in seconds.items()}


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
    parser.add_argument("--trained", type=int, default=0, help="steps of dense training before the pruning")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.models, arguments.exponents, arguments.repeats, arguments.rounds = "resnet20", "1,3", 1, 10
    torch.set_num_threads(1)
    rows = []
    cells = [(pruner, float(one)) for pruner in arguments.pruners.split(",") for one in arguments.exponents.split(",")]
    if not arguments.json:
        print(", ".join(f"{key} {value}" for key, value in (machine() | {"dtype": "float32"}).items()))
        print(
            f"{'model':10} {'pruner':9} {'exponent':>8} {'reference s':>11} {'compact s':>10} {'times faster':>12} "
            f"{'(than *)':>8} {'compaction s':>12} {'units left':>10} {'weights left':>12}"
        )
    for name in arguments.models.split(","):
        for row in measure(name, cells, arguments):
            rows.append(row)
            if not arguments.json:
                print(
                    f"{name:10} {row['pruner']:9} {row['exponent']:8g} {row['reference_seconds']:11.4f} "
                    f"{row['compact_seconds']:10.4f} {row['times_faster']:12.2f} "
                    f"{row['times_faster_than_masks_in_forward']:8.2f} {row['compaction_seconds']:12.3f} "
                    f"{row['units_left']:10.3f} {row['weights_left']:12}{' collapsed' if row['collapsed'] else ''}",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps({"machine": machine() | {"dtype": "float32"}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
