"""Kept weights per layer against the paper's published ones: VGG-16-bn with 100 classes, figure 1.

    python -m benchmarks.figure1_layers [--seeds 5] [--exponents 1,2,3]

The published run is one draw from the same law as ours, so it should fall into the interval that our seeds predict for
one more of them: mean +- t * deviation * sqrt(1 + 1/seeds), 99 %, widened by one weight, in each layer. Random,
magnitude and SynFlow (100 rounds, eval mode) look at no data, so nothing else can differ.
"""

from __future__ import annotations

import argparse
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from scipy import special

from pruning.density import canonical_density
from pruning.masks import Masks
from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext, build_network
from training.pruning_step import prune_model

PRUNERS = {
    "random": PrunerConfig(name="random"),
    "magnitude": PrunerConfig(name="magnitude"),
    "synflow": PrunerConfig(name="synflow", iterations=100, score_dtype="float64"),
}
CONFIDENCE = 0.99
CIFAR_SHAPED = DatasetConfig(name="blank", options='{"num_classes":100,"shape":[3,32,32]}')
"""These pruners read shapes only."""
PUBLISHED = Path(__file__).parents[1] / "analysis" / "paper" / "published" / "figure1_layers.parquet"
"""Columns pruner, compression_exponent, layer, kept."""


def kept_per_layer(pruner: str, density: Decimal, seed: int, context: CohortContext) -> list[int]:
    """Weights kept in each prunable layer, in order."""
    config = TrialConfig(
        dataset=CIFAR_SHAPED,
        model=ModelConfig(name="vgg16_bn"),
        pruner=PRUNERS[pruner],
        density=density,
        seeds=Seeds(init=seed, data=seed, prune=seed),
        training=TrainingConfig(epochs=0),
    )
    masks: Masks = prune_model(build_network(config, context), config, context).masks
    return [int(mask.sum()) for mask in masks.values()]


def published() -> dict[tuple[str, float], list[int]]:
    """Kept weights per layer by pruner and compression exponent."""
    kept: dict[tuple[str, float], dict[int, int]] = {}
    for row in pq.read_table(PUBLISHED).to_pylist():
        kept.setdefault((row["pruner"], row["compression_exponent"]), {})[row["layer"]] = row["kept"]
    return {key: [layers[position] for position in sorted(layers)] for key, layers in kept.items()}


def main() -> None:
    """Print one line a pruner and exponent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--exponents", default="1,2,3")
    arguments = parser.parse_args()
    theirs_by_point = published()
    context = CohortContext("cpu")
    quantile = special.stdtrit(arguments.seeds - 1, 0.5 + CONFIDENCE / 2)
    print(f"VGG-16-bn, 100 classes, {arguments.seeds} seeds, torch {torch.__version__}, one thread")
    print(f"{'pruner':10} {'exponent':>8} {'layers in the interval':>24} {'largest deviation (sd)':>24} {'seconds':>8}")
    for pruner in PRUNERS:
        for exponent in map(float, arguments.exponents.split(",")):
            start = time.perf_counter()
            density = canonical_density("compression_exponent", exponent)
            ours = np.array([kept_per_layer(pruner, density, seed, context) for seed in range(arguments.seeds)])
            theirs = np.array(theirs_by_point[pruner, exponent])
            deviation = ours.std(0, ddof=1)
            distance = np.abs(theirs - ours.mean(0))
            inside = distance <= quantile * deviation * np.sqrt(1 + 1 / arguments.seeds) + 1
            largest = (distance / np.maximum(deviation, 0.5)).max()
            seconds = time.perf_counter() - start
            print(f"{pruner:10} {exponent:8g} {inside.sum():>17} of {len(inside):<3} {largest:>24.1f} {seconds:8.1f}")


if __name__ == "__main__":
    main()
