"""Speed of SynFlow's rounds, as ratios to the straightforward loop measured in the same run.

    python -m benchmarks.scoring [--json] [--quick] [--exponents 3] [--rounds 100] [--repeats 3] [--simple]

Each repeat times all ways one after the other, so that a machine that slows down slows all of them; the table has
medians of processor seconds, and the ratio is of medians. Same network, dtype, threads and densities; masks are
compared on live paths.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import torch
from torch import nn

from benchmarks.straightforward import prune_round_by_round
from models.vgg import vgg11_bn, vgg16_bn
from pruning.connectivity import connectivity
from pruning.criteria.contract import PruneSet
from pruning.criteria.synflow import SynFlow
from pruning.density import canonical_density
from pruning.masks import Masks
from pruning.prunable import prunable_weights
from pruning.prune import prune
from pruning.schedules import exponential
from pruning.scoring import prune_at_once, score_network

SHAPE = (3, 32, 32)
DATA = PruneSet(inputs=torch.zeros(1, *SHAPE), targets=torch.zeros(1, dtype=torch.int64))
BASELINE, AT_ONCE, SIMPLE = "straightforward loop", "all rounds at once", "score_network round by round"


def ways(model: nn.Module, density: Decimal, num_rounds: int, simple: bool) -> dict[str, Callable[[], Masks]]:
    """What is timed: each call returns masks."""
    densities = exponential(density, num_rounds)
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    found: dict[str, Callable[[], Masks]] = {
        BASELINE: lambda: prune_round_by_round(model, DATA.inputs, densities),
        AT_ONCE: lambda: prune_at_once(model, SynFlow(), DATA, densities, "global").masks,
    }
    if simple:
        found[SIMPLE] = lambda: (
            prune(
                lambda masks, number: score_network(model, masks, SynFlow(), DATA, torch.Generator()),
                weights,
                density,
                num_rounds=num_rounds,
            ).masks
        )
    return found


def same_on_live_paths(model: nn.Module, first: Masks, second: Masks) -> bool:
    """Whether two masks differ at most in weights on no path from input to output."""
    live, other = connectivity(model, first, SHAPE).live, connectivity(model, second, SHAPE).live
    return all(torch.equal(live[name], other[name]) for name in live)


def measure(model: nn.Module, exponent: float, num_rounds: int, repeats: int, simple: bool) -> list[dict[str, object]]:
    """One row a way: median seconds, how many times faster than the baseline, and whether masks are the same."""
    density = canonical_density("compression_exponent", exponent)
    seconds: dict[str, list[float]] = {}
    masks: dict[str, Masks] = {}
    for _ in range(repeats):
        for name, way in ways(model, density, num_rounds, simple).items():
            start = time.process_time()
            masks[name] = way()
            seconds.setdefault(name, []).append(time.process_time() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        {
            "compression_exponent": exponent,
            "rounds": num_rounds,
            "way": name,
            "seconds": median[name],
            "times_faster": median[BASELINE] / median[name],
            "same_masks_on_live_paths": same_on_live_paths(model, masks[BASELINE], masks[name]),
        }
        for name in median
    ]


def machine() -> dict[str, object]:
    """Where the figures were measured."""
    info = Path("/proc/cpuinfo")
    names = [line.split(": ")[1] for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "dtype": "float64",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="VGG-11, 10 rounds, once: whether it runs at all")
    parser.add_argument("--simple", action="store_true", help="also time the product's own simple path")
    parser.add_argument("--exponents", default="3")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.exponents, arguments.rounds, arguments.repeats = "2", 10, 1
    torch.set_num_threads(1)
    torch.manual_seed(0)
    build = vgg11_bn if arguments.quick else vgg16_bn
    model = build(input_shape=SHAPE, num_classes=100)
    rows = [
        row
        for exponent in map(float, arguments.exponents.split(","))
        for row in measure(model, exponent, arguments.rounds, arguments.repeats, arguments.simple)
    ]
    network = "VGG-11-bn" if arguments.quick else "VGG-16-bn"
    if arguments.json:
        print(json.dumps({"machine": machine(), "network": network, "rows": rows}, indent=2))
        return
    print(f"SynFlow on {network} at 32x32, 100 classes; {', '.join(f'{key} {v}' for key, v in machine().items())}")
    print(f"{'exponent':>8} {'rounds':>6}  {'way':30} {'seconds':>8} {'times faster':>12}  same live masks")
    for row in rows:
        print(
            f"{row['compression_exponent']:8g} {row['rounds']:6}  {row['way']:30} {row['seconds']:8.1f} "
            f"{row['times_faster']:12.2f}  {row['same_masks_on_live_paths']}"
        )


if __name__ == "__main__":
    main()
