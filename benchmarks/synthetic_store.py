"""Write a store as a large sweep leaves it, without training anything: for timing and trying out analysis.

    python -m benchmarks.synthetic_store DIR [--trials 1000000] [--epochs 10] [--layers 10] [--segment 100000]

Columns and files are those of a real store (`orchestrator/store/schema.py`), and so is what goes wrong: 2 % of trials
failed half-way, 1.5 % diverged, 0.5 % are missing; 1 % were tried before (half of these failed then, half completed
twice), and 0.5 % left child rows of an attempt that never committed. `--segment` is the number of trials a file holds:
100,000 as after compaction, 50 as workers write them.

Errors follow Rosenfeld et al. 2021 over depth, width and density (`LAW`), each pruner at a p of its own, with noise
over seeds; layers collapse at random around a cliff of each pruner (`CURVES`), and a collapsed network guesses. The
grid grows with the number of trials: densities, curves, models, widths, learning rates, data sets, five seeds at least.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestrator.store.compact import ROWS_PER_GROUP
from orchestrator.store.files import publish_rows
from orchestrator.store.layout import Store
from orchestrator.store.schema import TABLES

Array = npt.NDArray[Any]

LAW = {"e_up": 0.9, "gamma": 0.9, "p": 1.2, "phi": 1.2, "psi": 1.3}
"""Constants of the law. e_np is `DENSE_ERROR`, m = 300 * (depth / 20) ** phi * width_factor ** psi * density."""
DENSE_ERROR = {"cifar10": 0.07, "cifar100": 0.28}
NUM_CLASSES = {"cifar10": 10, "cifar100": 100}
DEPTH = {"resnet20": 20, "resnet32": 32, "resnet56": 56}
PRUNABLE = {"resnet20": 270_000, "resnet32": 464_000, "resnet56": 853_000}
"""Prunable weights at width factor 1, rounded."""
BEST_RATE = 0.1
SEED_NOISE = 0.004
POSITIONS = 150
"""That each weight is applied at: about the mean of a ResNet-20 on 32 x 32."""
MULTI_ROUND_EVERY = 20
"""In a large store only every so many seeds have rows in `rounds`: 100 rounds a trial would outgrow the epochs."""


@dataclass(frozen=True)
class Curve:
    """A pruner with its number of rounds; how far it is from the best, and where layers begin to collapse."""

    pruner: str
    iterations: int
    p_factor: float
    cliff: float
    """Exponent of compression at which half of the networks have collapsed."""


CURVES = (
    Curve("synflow", 100, 1.0, 4.4),
    Curve("magnitude", 1, 2.0, 2.6),
    Curve("random", 1, 5.0, 3.3),
    Curve("snip", 1, 1.6, 3.1),
    Curve("grasp", 1, 1.9, 3.2),
    Curve("synflow", 1, 1.7, 2.2),
    Curve("synflow", 10, 1.2, 3.6),
    Curve("iterative_snip", 10, 1.3, 3.8),
    Curve("force", 10, 1.25, 3.7),
    Curve("erk", 1, 3.0, 3.9),
)


@dataclass(frozen=True)
class Grid:
    """Axes, largest first in the order of trials: seed, data set, model, width, learning rate, curve, density."""

    datasets: tuple[str, ...] = ("cifar10",)
    models: tuple[str, ...] = ("resnet20",)
    widths: tuple[float, ...] = (1.0,)
    rates: tuple[float, ...] = (BEST_RATE,)
    num_curves: int = 5
    exponents: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0)

    @property
    def num_settings(self) -> int:
        """Combinations of everything but seed, curve and density."""
        return len(self.datasets) * len(self.models) * len(self.widths) * len(self.rates)

    @property
    def trials_a_setting(self) -> int:
        """The dense trial that all pruners share, then each curve's pruned ones."""
        return 1 + self.num_curves * (len(self.exponents) - 1)

    @classmethod
    def of(cls, num_trials: int) -> Grid:
        """The largest of a row of growing grids that leaves five seeds."""
        grid = cls()
        for larger in (
            {"exponents": tuple(0.5 * step for step in range(9))},
            {"num_curves": len(CURVES)},
            {"models": tuple(DEPTH)},
            {"widths": (0.5, 1.0, 2.0)},
            {"rates": (BEST_RATE, 0.01)},
            {"exponents": tuple(0.2 * step for step in range(21))},
            {"datasets": tuple(DENSE_ERROR)},
        ):
            candidate = replace(grid, **larger)
            if 5 * candidate.num_settings * candidate.trials_a_setting > num_trials:
                break
            grid = candidate
        return grid


def write_store(
    location: str | Path, num_trials: int, *, num_epochs: int = 10, num_layers: int = 10, segment: int = 100_000
) -> Grid:
    """Write a store of `num_trials` trials, `segment` of them a file. The same arguments give the same results."""
    store = Store(location)
    grid = Grid.of(num_trials)
    store.publish_text(
        "# This store was made by benchmarks/synthetic_store.py: nothing was trained.\n", "sweeps/0.yaml"
    )
    rounds_every = 1 if num_trials <= 20_000 else MULTI_ROUND_EVERY
    points = []
    for number, first in enumerate(range(0, num_trials, segment)):
        trials = _Trials(grid, np.arange(first, min(first + segment, num_trials)))
        points.append(trials.points())
        for name, table in trials.tables(num_epochs, num_layers, rounds_every):
            if table.num_rows:
                publish_rows(store, table, name, f"synthetic-{number:06}", rows_per_group=ROWS_PER_GROUP)
    store.publish_tables(TABLES["points"], points, "points", "synthetic.parquet")
    return grid


class _Trials:
    """Some trials of a grid, by number: what they are, what came out, and the tables that say so."""

    def __init__(self, grid: Grid, index: Array) -> None:
        self.grid, self.index = grid, index
        self.chance = np.random.default_rng([7, int(index[0])])
        rest, within = np.divmod(index, grid.trials_a_setting)
        self.seed, setting = np.divmod(rest, grid.num_settings)
        setting, self.rate = np.divmod(setting, len(grid.rates))
        setting, self.width = np.divmod(setting, len(grid.widths))
        self.dataset, self.model = np.divmod(setting, len(grid.models))
        pruned = len(grid.exponents) - 1
        self.is_dense = within == 0
        self.curve = np.where(self.is_dense, 0, (within - 1) // pruned)
        self.exponent = np.where(self.is_dense, 0, 1 + (within - 1) % pruned)
        self.density = _densities(grid)[self.exponent]
        self._measure()

    def _measure(self) -> None:
        grid, chance, size = self.grid, self.chance, len(self.index)
        depth = np.array([DEPTH[name] for name in grid.models])[self.model]
        factor = np.array(grid.widths)[self.width]
        prunable = np.array([PRUNABLE[name] for name in grid.models])[self.model] * factor**2
        self.prunable = prunable.astype(np.int64)
        self.num_classes = np.array([NUM_CLASSES[name] for name in grid.datasets])[self.dataset]
        p = LAW["p"] * np.where(self.is_dense, 1.0, np.array([one.p_factor for one in CURVES])[self.curve])
        dense_error = np.array([DENSE_ERROR[name] for name in grid.datasets])[self.dataset]
        m = (depth / 20) ** LAW["phi"] * factor ** LAW["psi"] * self.density * 300
        error = rosenfeld(dense_error, m, p)
        error = error + np.where(np.array(grid.rates)[self.rate] == BEST_RATE, 0.0, 0.02)
        cliff = np.array([one.cliff for one in CURVES])[self.curve]
        exponent = np.array(grid.exponents)[self.exponent]
        self.is_collapsed = ~self.is_dense & (exponent + chance.normal(0, 0.25, size) > cliff)
        accuracy = np.where(self.is_collapsed, 1 / self.num_classes, 1 - error + chance.normal(0, SEED_NOISE, size))
        self.accuracy = np.round(np.clip(accuracy, 1 / self.num_classes, 1), 4)
        luck = chance.random(size)
        self.is_missing = luck < 0.005
        self.is_failed = (luck > 0.005) & (luck < 0.025)
        self.is_diverged = (luck > 0.025) & (luck < 0.04)
        again = chance.random(size)
        self.has_failed_before = again < 0.005
        self.was_done_twice = (again > 0.005) & (again < 0.01)
        self.left_orphans = (again > 0.01) & (again < 0.015)

    def config(self, rows: Array, pruner: Array | None = None) -> dict[str, pa.Array]:
        """Configuration columns of some rows; `pruner` numbers their curves where it is not the trial's own."""
        grid, size = self.grid, len(rows)
        asked = self.curve[rows] if pruner is None else pruner
        literals = [f"{density:.12g}" for density in _densities(grid)]
        names = [one.pruner for one in CURVES]
        # the trial that all pruners share says none of them
        name = np.where(self.is_dense[rows] & (pruner is None), len(names), asked)
        rounds = np.where(
            self.is_dense[rows] & (pruner is None), 1, np.array([one.iterations for one in CURVES])[asked]
        )
        options = ["{}" if width == 1 else f'{{"width_factor":{width}}}' for width in grid.widths]
        seed = pa.array(self.seed[rows])
        return {
            "dataset": _chosen(grid.datasets, self.dataset[rows]),
            "dataset_options": _same("{}", size),
            "dataset_source": _same("", size),
            "validation": _same("5000", size),
            "model": _chosen(grid.models, self.model[rows]),
            "model_options": _chosen(options, self.width[rows]),
            "model_source": _same("", size),
            "pruner": _chosen([*names, "none"], name),
            "pruner_options": _same("{}", size),
            "pruner_source": _same("", size),
            "iterations": pa.array(rounds),
            "schedule": _same("exponential", size),
            "scope": _same("global", size),
            "mode": _same("eval", size),
            "score_dtype": _same("float32", size),
            "prunable": _same("weights", size),
            "ablation": _same("none", size),
            "examples_per_class": _same(10, size),
            "pre_epochs": _same(0, size),
            "levels": _same(1, size),
            "rewind": _same("none", size),
            "rewind_step": _same(0, size),
            "fine_tune_epochs": _same(0, size),
            "density": pa.array(self.density[rows]),
            "density_literal": _chosen(literals, self.exponent[rows]),
            "seed_init": seed,
            "seed_data": seed,
            "seed_prune": seed,
            "epochs": _same(160, size),
            "optimizer": _same("momentum", size),
            "lr": pa.array(np.array(grid.rates)[self.rate[rows]]),
            "momentum": _same(0.9, size),
            "nesterov": _same(True, size),
            "beta1": _same(0.9, size),
            "beta2": _same(0.999, size),
            "epsilon": _same(1e-8, size),
            "rmsprop_alpha": _same(0.99, size),
            "weight_decay": _same(1e-4, size),
            "weight_decay_on": _same("all", size),
            "batch_size": _same(128, size),
            "lr_schedule": _same("step", size),
            "lr_drops": _same("[60,120]", size),
            "lr_drop_factor": _same(0.1, size),
            "warmup_epochs": _same(0.0, size),
            "label_smoothing": _same(0.0, size),
            "clip_grad_norm": _same(0.0, size),
            "precision": _same("float32", size),
            "augment": _same(True, size),
        }

    def points(self) -> pa.Table:
        """The grid's points: a dense trial stands under every curve."""
        dense, pruned = np.flatnonzero(self.is_dense), np.flatnonzero(~self.is_dense)
        rows = np.concatenate([np.repeat(dense, self.grid.num_curves), pruned])
        curve = np.concatenate([np.tile(np.arange(self.grid.num_curves), len(dense)), self.curve[pruned]])
        columns = {
            "sweep": _same("synthetic", len(rows)),
            "sweep_hash": _same("0", len(rows)),
            "trial_id": _hashes(self.index[rows], 0),
        }
        return _table("points", columns | self.config(rows, curve), len(rows))

    def tables(self, num_epochs: int, num_layers: int, rounds_every: int) -> Iterator[tuple[str, pa.Table]]:
        """All tables of these trials, in the order of their commit."""
        there = np.flatnonzero(~self.is_missing)
        before = there[(self.has_failed_before | self.was_done_twice)[there]]
        orphans = there[self.left_orphans[there]]
        rows = np.concatenate([there, before, orphans])
        attempt = np.concatenate([np.full(len(there), 2), np.full(len(before), 1), np.full(len(orphans), 3)])
        attempt[: len(there)] -= ~(self.has_failed_before | self.was_done_twice)[there]
        failed = self.is_failed[rows].copy()
        failed[len(there) : len(there) + len(before)] |= self.has_failed_before[before]
        committed = np.arange(len(rows)) < len(there) + len(before)
        yield "epochs", self._epochs(rows, attempt, np.where(failed, num_epochs // 2, num_epochs))
        measured = ~failed
        yield "layers", self._layers(rows[measured], attempt[measured], num_layers)
        yield "rounds", self._rounds(rows[measured], attempt[measured], rounds_every)
        yield "trials", self._trials(rows[committed], attempt[committed], failed[committed], num_epochs, num_layers)

    def _keys(self, rows: Array, attempt: Array) -> dict[str, pa.Array]:
        return {"trial_id": _hashes(self.index[rows], 0), "attempt_id": _hashes(self.index[rows], attempt)}

    def _trials(self, rows: Array, attempt: Array, failed: Array, num_epochs: int, num_layers: int) -> pa.Table:
        size = len(rows)
        collapsed, density, prunable = self.is_collapsed[rows], self.density[rows], self.prunable[rows]
        kept = np.rint(density * prunable).astype(np.int64)
        live = np.where(collapsed, 0, np.rint(kept * (0.9 + 0.1 * density)).astype(np.int64))
        diverged = self.is_diverged[rows]
        accuracy = np.where(diverged, 1 / self.num_classes[rows], self.accuracy[rows])
        validation = np.round(np.clip(accuracy + self.chance.normal(0, 0.003, size), 0, 1), 4)
        loss = np.where(diverged, np.nan, 3 * (1 - accuracy))
        seconds = self.chance.gamma(20, 1 / 20, size)
        errors = ["OutOfMemoryError", "ValueError", "WorkerCrashed"]
        messages = ["CUDA out of memory. Tried to allocate 2.00 GiB", "scores are not finite", "its process ended"]
        cause = self.index[rows] % 3

        def measured(values: Array) -> pa.Array:
            return pa.array(values, mask=failed)

        def said(texts: list[str]) -> pa.Array:
            return _chosen(texts, cause, ~failed)

        gpu = self.seed[rows] % 2
        columns = (
            self._keys(rows, attempt)
            | self.config(rows)
            | {
                "attempt": pa.array(attempt),
                "status": _chosen(["completed", "failed"], failed.astype(np.int64)),
                "error_type": said(errors),
                "error_message": said(messages),
                "error_traceback": said(
                    [f"Traceback ...\n{name}: {text}" for name, text in zip(errors, messages, strict=True)]
                ),
                "num_classes": measured(self.num_classes[rows]),
                "num_train_images": measured(np.full(size, 45_000)),
                "num_test_images": measured(np.full(size, 10_000)),
                "prunable_weights": measured(prunable),
                "prunable_layers": measured(np.full(size, num_layers)),
                "kept_weights": measured(kept),
                "live_weights": measured(live),
                "effective_density": measured(live / prunable),
                "collapsed_layers": measured(collapsed * (1 + self.index[rows] % 3)),
                "is_connected": measured(~collapsed | (self.index[rows] % 5 == 0)),
                "dense_macs": measured(POSITIONS * prunable),
                "live_macs": measured(POSITIONS * live),
                "final_train_loss": measured(np.where(diverged, np.nan, 2 * (1 - accuracy))),
                "final_validation_accuracy": measured(validation),
                "final_test_loss": measured(loss),
                "final_test_accuracy": measured(accuracy),
                "final_test_top5": measured(np.minimum(1, accuracy * 1.2)),
                "best_test_accuracy": measured(np.round(np.minimum(1, accuracy + 0.002), 4)),
                "best_epoch": measured(np.full(size, num_epochs)),
                "selected_test_accuracy": measured(accuracy),
                "selected_epoch": measured(np.full(size, num_epochs)),
                "load_seconds": measured(0.2 * seconds),
                "build_seconds": measured(0.1 * seconds),
                "prune_seconds": measured(3 * seconds * self._iterations(rows)),
                "train_seconds": measured(seconds * (30 + 570 * density) * (1 + 3 * (1 - gpu))),
                "device": _chosen(["cpu", "cuda"], gpu),
                "dtype": _same("float32", size),
                "engine": _same("compact", size),
                "threads": _same(1, size),
                "host": _chosen([f"node-{number}" for number in range(16)], self.index[rows] % 16),
                "finished_at": _same(datetime(2026, 11, 1, tzinfo=UTC), size),
                "numerics_version": _same(1, size),
                "prunesweep_version": _same(version("prunesweep"), size),
                "torch_version": _same("2.15.0", size),
                "python_version": _same("3.11.7", size),
                "git_commit": _same("0123456789abcdef0123456789abcdef01234567", size),
                "git_dirty": _same(False, size),
                "run_id": _same("20261101T000000-00000000", size),
            }
        )
        return _table("trials", columns, size)

    def _iterations(self, rows: Array) -> Array:
        iterations: Array = np.array([one.iterations for one in CURVES])[self.curve[rows]]
        return np.where(self.is_dense[rows], 0, iterations)

    def _epochs(self, rows: Array, attempt: Array, num_epochs: Array) -> pa.Table:
        parent, epoch = _repeated(num_epochs)
        epoch += 1
        size = len(parent)
        trial = rows[parent]
        # nears the final accuracy, which the last epoch has
        share = np.minimum(1, 1 - 0.4 ** (epoch / 2) * (1 - epoch / np.max(num_epochs, initial=1)))
        accuracy = np.round(self.accuracy[trial] * share, 4)
        diverged = self.is_diverged[trial] & (epoch > 2)
        loss = np.where(diverged, np.nan, 3 * (1 - accuracy))
        columns = _taken(self._keys(rows, attempt), parent) | {
            "level": _same(1, size),
            "epoch": pa.array(epoch),
            "lr": pa.array(np.array(self.grid.rates)[self.rate[trial]]),
            "train_loss": pa.array(np.where(diverged, np.nan, 2 * (1 - accuracy))),
            "validation_loss": pa.array(loss),
            "validation_accuracy": pa.array(accuracy),
            "validation_top5": pa.array(np.minimum(1, accuracy * 1.2)),
            "test_loss": pa.array(loss),
            "test_accuracy": pa.array(accuracy),
            "test_top5": pa.array(np.minimum(1, accuracy * 1.2)),
        }
        return _table("epochs", columns, size)

    def _layers(self, rows: Array, attempt: Array, num_layers: int) -> pa.Table:
        parent, position = _repeated(np.full(len(rows), num_layers))
        trial = rows[parent]
        weight = np.arange(1, num_layers + 1) / (num_layers * (num_layers + 1) / 2)
        weights = np.maximum(1, (self.prunable[trial] * weight[position]).astype(np.int64))
        # small layers keep a larger share; of a collapsed network one layer is empty
        kept = np.minimum(weights, np.ceil(weights * self.density[trial] ** (0.8 + 0.04 * position)).astype(np.int64))
        kept[self.is_collapsed[trial] & (position == self.index[trial] % num_layers)] = 0
        live = np.where(self.is_collapsed[trial], 0, kept)
        score = self.chance.gamma(4, 2.5, len(parent))
        unscored = self.is_dense[trial]
        columns = _taken(self._keys(rows, attempt), parent) | {
            "layer": _chosen([f"stage.{number}.conv" for number in range(num_layers)], position),
            "position": pa.array(position),
            "num_weights": pa.array(weights),
            "kept": pa.array(kept),
            "live": pa.array(live),
            "score_sum": pa.array(score, mask=unscored),
            "initial_score_sum": pa.array(1.5 * score, mask=unscored),
            "unit_conservation_error": pa.array(0.01 * score, mask=unscored),
            "is_layer": _same(True, len(parent)),
            "positions": _same(POSITIONS, len(parent)),
        }
        return _table("layers", columns, len(parent))

    def _rounds(self, rows: Array, attempt: Array, every: int) -> pa.Table:
        recorded = self.seed[rows] % every == 0
        rows, attempt = rows[recorded], attempt[recorded]
        iterations = self._iterations(rows)
        parent, done = _repeated(iterations)
        trial = rows[parent]
        share = (done + 1) / np.maximum(1, iterations[parent])
        density = self.density[trial] ** share
        flow = 100 * density**0.5
        ratio = self.density[trial] ** (-1 / np.maximum(1, iterations[parent])) * 0.3
        collapsed = (self.is_collapsed[trial] & (share > 0.8)) * (1 + self.index[trial] % 3)
        columns = _taken(self._keys(rows, attempt), parent) | {
            "round": pa.array(done + 1),
            "density": pa.array(density),
            "kept": pa.array(np.rint(density * self.prunable[trial]).astype(np.int64)),
            "score_cut": pa.array(flow * ratio),
            "flow": pa.array(flow),
            "layer_deviation": pa.array(1e-6 * ratio),
            "collapsed_layers": pa.array(collapsed),
        }
        return _table("rounds", columns, len(parent))


def rosenfeld(dense_error: Array, m: Array, p: Array) -> Array:
    """Error of a pruned network by the law of Rosenfeld et al. 2021 with the other constants of `LAW`."""
    ratio = (LAW["e_up"] / dense_error) ** (1 / LAW["gamma"])
    return dense_error * np.abs((m - 1j * p * ratio) / (m - 1j * p)) ** LAW["gamma"]


def _densities(grid: Grid) -> Array:
    return np.array([float(f"{10**-exponent:.12g}") for exponent in grid.exponents])


def _repeated(counts: Array) -> tuple[Array, Array]:
    """Indices of parents, each `counts` times, and the number of each child among its siblings."""
    parent = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return parent, np.arange(len(parent)) - first[parent]


def _taken(columns: dict[str, pa.Array], parent: Array) -> dict[str, pa.Array]:
    index = pa.array(parent)
    return {name: column.take(index) for name, column in columns.items()}


def _chosen(choices: Any, index: Array, absent: Array | None = None) -> pa.Array:
    """`choices[index]` as text, null where `absent`."""
    return pa.DictionaryArray.from_arrays(pa.array(index, mask=absent), pa.array(list(choices), pa.string())).cast(
        pa.string()
    )


def _same(value: Any, size: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), size)


def _hashes(index: Array, salt: Array | int) -> pa.Array:
    """32 hexadecimal digits for each (index, salt), all different, in no visible order."""
    words = np.empty((len(index), 2), dtype=">u8")
    words[:, 0] = _mixed(index.astype(np.uint64) * np.uint64(8) + np.asarray(salt, dtype=np.uint64))
    words[:, 1] = _mixed(words[:, 0].astype(np.uint64) + np.uint64(1))
    text = pa.py_buffer(words.tobytes().hex().encode())
    offsets = pa.py_buffer(np.arange(0, 32 * len(index) + 1, 32, dtype=np.int32))
    return pa.StringArray.from_buffers(len(index), offsets, text)


def _mixed(words: Array) -> Array:
    """SplitMix64's finaliser (Steele et al. 2014): one to one on 64 bits."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _table(name: str, columns: dict[str, pa.Array], size: int) -> pa.Table:
    """Columns in the schema's order and types; those not given are null."""
    schema = TABLES[name]
    unknown = set(columns) - set(schema.names)
    assert not unknown, unknown
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(size, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def main() -> None:
    """Write a store and say how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--segment", type=int, default=100_000, help="trials a file")
    given = parser.parse_args()
    start = time.perf_counter()
    grid = write_store(
        given.directory, given.trials, num_epochs=given.epochs, num_layers=given.layers, segment=given.segment
    )
    print(f"{given.trials:,} trials of {grid} in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
