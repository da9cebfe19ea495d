"""LeNet-5 on Fashion-MNIST, dense, as a trial of the product: 90 % of the test images on one CPU thread.

    python -m benchmarks.lenet_fashion_mnist [--root ../shared/data] [--epochs 6] [--quick]

Needs the published files (docs/datasets.md). Exits with 1 where the accuracy of the last epoch is below 90 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from decimal import Decimal
from pathlib import Path

from training.config import DENSE_PRUNER, DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext
from training.trial import run_trial

GOAL = 0.9


def trial(dataset: DatasetConfig, epochs: int) -> TrialConfig:
    """Nesterov momentum, the learning rate dropped for the last third."""
    return TrialConfig(
        dataset=dataset,
        model=ModelConfig(name="lenet5"),
        pruner=PrunerConfig(name=DENSE_PRUNER),
        density=Decimal(1),
        seeds=Seeds(init=0, data=0, prune=0),
        training=TrainingConfig(
            epochs=epochs, optimizer="momentum", lr=0.05, weight_decay=5e-4, lr_drops=(epochs - epochs // 3,)
        ),
    )


def main() -> None:
    """Print one line an epoch, then the trial as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument(
        "--quick", action="store_true", help="one epoch on synthetic images: says nothing but that it runs"
    )
    arguments = parser.parse_args()
    dataset = DatasetConfig(name="fashion-mnist")
    if arguments.quick:
        dataset, arguments.epochs = DatasetConfig(name="synthetic", options='{"shape":[1,28,28]}'), 1
    record = run_trial(trial(dataset, arguments.epochs), CohortContext("cpu", data_root=str(arguments.root)))
    for epoch in record.epochs:
        print(f"epoch {epoch.epoch}: training loss {epoch.train_loss:.4f}, test accuracy {epoch.test_accuracy:.4f}")
    final = record.epochs[-1].test_accuracy
    print(
        json.dumps(
            {
                "data": dataset.name,
                "data_hash": record.data_hash,
                "epochs": arguments.epochs,
                "final_test_accuracy": final,
                "seconds": record.seconds,
            },
            indent=2,
        )
    )
    if final < GOAL and not arguments.quick:
        sys.exit(1)


if __name__ == "__main__":
    main()
