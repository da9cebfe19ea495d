"""How many rounds SynFlow needs to reach 95 % of maximal compression without layer-collapse, VGG at 32x32.

python -m benchmarks.rounds_to_maximal_compression [--networks vgg11_bn,vgg16] [--rounds 10,30,100,300,1000]
"""

from __future__ import annotations

import argparse
import time

import torch

import models.vgg
from benchmarks.scoring import DATA, SHAPE
from pruning.conservation import collapsed_layers, cut_over_flow, maximal_compression
from pruning.criteria.synflow import SynFlow
from pruning.density import canonical_density
from pruning.masks import all_kept
from pruning.prunable import prunable_weights
from pruning.schedules import exponential
from pruning.scoring import prune_at_once

NETWORKS = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]


def main() -> None:
    """Print one line a network and number of rounds, up to the first number that suffices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--rounds", default="10,30,100,300,1000")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'network':10} {'kept':>5} {'layers':>6} {'rounds':>6} {'empty':>9} {'largest cut/R':>15} {'seconds':>8}")
    for network in arguments.networks.split(","):
        torch.manual_seed(arguments.seed)
        model = getattr(models.vgg, network)(input_shape=SHAPE, num_classes=100)
        masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
        density = canonical_density("compression_ratio", 0.95 * maximal_compression(masks))
        for num_rounds in map(int, arguments.rounds.split(",")):
            start = time.perf_counter()
            pruned = prune_at_once(model, SynFlow(), DATA, exponential(density, num_rounds), "global")
            collapsed = len(collapsed_layers(pruned.masks))
            print(
                f"{network:10} {pruned.rounds[-1].kept:5} {len(masks):6} {num_rounds:6} {collapsed:9} "
                f"{max(cut_over_flow(pruned.rounds)):15.3g} {time.perf_counter() - start:8.1f}",
                flush=True,
            )
            if not collapsed:
                break


if __name__ == "__main__":
    main()
