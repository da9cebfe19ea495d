"""Stores to analyse: literal rows, written by the same functions that workers use."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orchestrator.store.layout import Store
from orchestrator.store.schema import CONFIG_COLUMNS, POINTS
from orchestrator.store.write import write_segment

Row = dict[str, Any]

CONFIG: Row = {
    "dataset": "digits", "dataset_options": "{}", "dataset_source": "", "validation": "own",
    "model": "mlp", "model_options": "{}", "model_source": "",
    "pruner": "synflow", "pruner_options": "{}", "pruner_source": "",
    "iterations": 1, "schedule": "exponential", "scope": "global",
    "mode": "eval", "score_dtype": "float32", "prunable": "weights", "ablation": "none", "examples_per_class": 10,
    "pre_epochs": 0, "levels": 1, "rewind": "none", "rewind_step": 0, "fine_tune_epochs": 0,
    "density": 0.1, "density_literal": "0.1",
    "seed_init": 0, "seed_data": 0, "seed_prune": 0,
    "epochs": 20, "optimizer": "momentum", "lr": 0.1, "momentum": 0.9, "nesterov": True, "beta1": 0.9, "beta2": 0.999,
    "epsilon": 1e-8, "rmsprop_alpha": 0.99, "weight_decay": 0.0, "weight_decay_on": "all", "batch_size": 64,
    "lr_schedule": "step", "lr_drops": "[]", "lr_drop_factor": 0.1, "warmup_epochs": 0.0, "label_smoothing": 0.0,
    "clip_grad_norm": 0.0, "precision": "float32", "augment": False,
}  # fmt: skip
assert set(CONFIG) == {name for name, _ in CONFIG_COLUMNS}

MEASURED: Row = {
    "num_classes": 10, "num_train_images": 1297, "num_test_images": 500, "prunable_weights": 3000, "prunable_layers": 3,
    "kept_weights": 300, "live_weights": 300, "effective_density": 0.1, "collapsed_layers": 0, "is_connected": True,
    "final_train_loss": 0.1, "final_test_loss": 0.2, "final_test_accuracy": 0.9, "final_test_top5": 1.0,
    "best_test_accuracy": 0.9, "best_epoch": 20,
}  # fmt: skip

MACHINE: Row = {
    "device": "cpu", "dtype": "float32", "engine": "reference", "threads": 1, "host": "node-1", "numerics_version": 1,
    "prunesweep_version": "0.1.0", "torch_version": "2.11.0", "python_version": "3.11.7", "git_dirty": False,
}  # fmt: skip


SCORES = ("score_sum", "initial_score_sum", "unit_conservation_error")


def _unit_scores(into: list[float] | None) -> Row:
    return {"unit_scores_in": into, "unit_scores_out": None if into is None else [-one for one in into]}


class StoreBuilder:
    """Collects points and trials, then writes them as workers would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._points: dict[str, list[Row]] = {}
        self._attempts: list[Mapping[str, list[Row]]] = []

    def point(
        self, trial_id: str, *, sweep: str = "demo", sweep_hash: str = "h1", seed: int = 0, **config: Any
    ) -> None:
        """A point of a grid; `seed` stands for all three."""
        row = CONFIG | {"seed_init": seed, "seed_data": seed, "seed_prune": seed} | config
        row["density_literal"] = f"{row['density']:.12g}"
        self._points.setdefault(sweep_hash, []).append(
            {"sweep": sweep, "sweep_hash": sweep_hash, "trial_id": trial_id} | row
        )

    def trial(
        self,
        trial_id: str,
        *,
        attempt: int = 1,
        attempt_id: str | None = None,
        error: tuple[str, str] | None = None,
        layers: Mapping[str, tuple[int, int]] | None = None,
        is_layer: Mapping[str, bool] | None = None,
        masks: Mapping[str, bytes] | None = None,
        scores: Mapping[str, tuple[float, float, float | None]] | None = None,
        units: Mapping[str, list[float]] | None = None,
        rounds: Sequence[Row] = (),
        epochs: Sequence[Row] = (),
        **columns: Any,
    ) -> None:
        """A finished attempt: measured columns, or an error (type, message).

        `layers` maps names to (weights, kept), `is_layer` the name of a bias to False, `masks` names to packed bits,
        `scores` names of layers to (sum in the last round, sum in the first, conservation error), `units` to the scores
        into their units, of which the negative comes out; `rounds` are rows from round 1 on, `epochs` rows from epoch 1
        of level 1 on unless they say otherwise.
        """
        key = {"trial_id": trial_id, "attempt_id": attempt_id or f"{trial_id}-{attempt}"}
        outcome = (
            {"status": "failed", "error_type": error[0], "error_message": error[1], "error_traceback": "..."}
            if error
            else {"status": "completed"} | MEASURED
        )
        self._attempts.append(
            {
                "layers": [
                    key
                    | {
                        "layer": name,
                        "position": position,
                        "num_weights": size,
                        "kept": kept,
                        "live": kept,
                        "is_layer": (is_layer or {}).get(name, True),
                    }
                    | dict(zip(SCORES, (scores or {}).get(name, (1.0, 1.0, None)), strict=True))
                    | _unit_scores((units or {}).get(name))
                    for position, (name, (size, kept)) in enumerate((layers or {}).items())
                ],
                "masks": [
                    key | {"layer": name, "position": position, "shape": [8 * len(bits)], "bits": bits}
                    for position, (name, bits) in enumerate((masks or {}).items())
                ],
                "rounds": [key | {"round": number} | row for number, row in enumerate(rounds, start=1)],
                "epochs": [key | {"level": 1, "epoch": number} | row for number, row in enumerate(epochs, start=1)],
                "trials": [key | {"attempt": attempt} | CONFIG | MACHINE | outcome | columns],
            }
        )

    def both(self, trial_id: str, *, point: Row, **trial: Any) -> None:
        """A point and its finished trial."""
        self.point(trial_id, **point)
        self.trial(trial_id, **trial)

    def orphans(self, trial_id: str, attempt_id: str, layers: Mapping[str, tuple[int, int]]) -> None:
        """Child rows of an attempt that was killed before its trial row."""
        key = {"trial_id": trial_id, "attempt_id": attempt_id}
        rows = [
            key
            | {"layer": name, "position": position, "num_weights": size, "kept": kept, "live": kept, "score_sum": 1.0}
            for position, (name, (size, kept)) in enumerate(layers.items())
        ]
        self._attempts.append({"layers": rows})

    def write(self) -> Path:
        """Publish everything; returns the store's folder."""
        store = Store(self.root)
        for sweep_hash, rows in self._points.items():
            store.publish_table(pa.Table.from_pylist(rows, schema=POINTS), "points", f"{sweep_hash}.parquet")
        if self._attempts:
            write_segment(store, "segment-1", self._attempts)
        return self.root


@pytest.fixture
def builder(tmp_path: Path) -> StoreBuilder:
    """An empty store to fill."""
    return StoreBuilder(tmp_path / "store")


@pytest.fixture(scope="session")
def realistic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store like the shipped sweep's: two models, six curves, nine sparsities, five seeds, a failure and a gap."""
    return fill_realistic(StoreBuilder(tmp_path_factory.mktemp("realistic") / "store"))


PRUNERS = [("random", 1), ("magnitude", 1), ("snip", 1), ("grasp", 1), ("synflow", 1), ("synflow", 100)]
MODELS = {
    "mlp": {"layers.0": 76_800, "layers.1": 160_000, "output": 50_200},
    "convnet": {"conv1": 144, "conv2": 4_608, "conv3": 9_216, "output": 320},
}
CLIFF = {
    ("mlp", "random"): 3.2, ("mlp", "magnitude"): 2.7, ("mlp", "snip"): 3.1,
    ("mlp", "grasp"): 2.9, ("mlp", "synflow"): 3.6,
    ("convnet", "random"): 1.6, ("convnet", "magnitude"): 2.0, ("convnet", "snip"): 2.4,
    ("convnet", "grasp"): 2.2, ("convnet", "synflow"): 2.6,
}  # fmt: skip


def fill_realistic(builder: StoreBuilder) -> Path:
    """Plausible numbers, made up: accuracy falls with sparsity and ends at chance where layers collapse."""
    chance = random.Random(7)
    for model, sizes in MODELS.items():
        total = sum(sizes.values())
        for seed in range(5):
            for pruner, iterations in PRUNERS:
                for exponent in (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0):
                    density = float(f"{10**-exponent:.12g}")
                    trial_id = (
                        f"{model}-{seed}-{pruner}-{iterations}-{exponent}" if exponent else f"{model}-{seed}-dense"
                    )
                    builder.point(
                        trial_id,
                        sweep="digits-collapse",
                        seed=seed,
                        model=model,
                        pruner=pruner,
                        iterations=iterations,
                        density=density,
                    )
                    if exponent == 0 and (pruner, iterations) != PRUNERS[0]:
                        continue
                    if trial_id == "mlp-3-grasp-1-2.0":
                        message = "CUDA out of memory. Tried to allocate 2.00 GiB"
                        builder.trial(trial_id, error=("OutOfMemoryError", message))
                        continue
                    if trial_id == "convnet-4-snip-1-1.5":
                        continue
                    cliff = CLIFF[model, pruner] + (1.2 if iterations == 100 else 0)
                    dead = exponent > 0 and exponent + chance.gauss(0, 0.25) > cliff
                    alive = 0.98 - 0.012 * exponent**2 - 0.5 / (1 + math.exp(4 * (cliff + 0.2 - exponent)))
                    accuracy = 0.1 if dead else max(0.1, min(1.0, alive + chance.gauss(0, 0.008)))
                    middle = list(sizes)[1]
                    builder.trial(
                        trial_id,
                        layers={
                            name: (size, 0 if dead and name == middle else max(1, round(size * density)))
                            for name, size in sizes.items()
                        },
                        prunable_weights=total,
                        prunable_layers=len(sizes),
                        kept_weights=round(total * density),
                        collapsed_layers=int(dead),
                        is_connected=not dead,
                        final_test_accuracy=round(accuracy * 500) / 500,
                        final_test_loss=2.3 if dead else 0.2,
                    )
    return builder.write()
