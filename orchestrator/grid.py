"""The points of a sweep's grid in columns: some ten thousand at a time, each a row of numbers of parts and an id.

What a point asks for and the trial that answers it differ in pruner, levels and seeds only (`identity.fold`); the
columns "asked_..." hold what was asked. Measured at a million points: 4 s, of which 3 s hash the ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from orchestrator.expand import Block, blocks
from orchestrator.identity import HASHED_PARTS, fold_pruner, fold_seeds, hashed_text, id_of
from orchestrator.parts import PARTS, Parts
from orchestrator.sources import UserCode
from orchestrator.store.rows import PART_COLUMNS
from orchestrator.store.schema import POINTS
from orchestrator.sweepfile import SweepFile

POINTS_PER_CHUNK = 50_000
FOLDED_PARTS = ("pruner", "levels", "seeds")
ASKED = {name: f"asked_{name}" if name in FOLDED_PARTS else name for name in PARTS}
"""The column that holds the number of a point's part as it was asked for."""

Numbers = NDArray[np.uint32]


class Grid:
    """The grid of a sweep file. `parts` and `reasons` grow while chunks are drawn."""

    def __init__(self, file: SweepFile) -> None:
        self._file = file
        self.parts = Parts()
        self.reasons: list[str] = [""]
        """Why a point is answered by another configuration than it asks for, by number; 0 is "it is not"."""
        self._texts: dict[str, list[bytes]] = {name: [] for name in PARTS}

    def chunks(self) -> Iterator[pl.DataFrame]:
        """Every point in the grid's order: trial_id, numbers of its parts, asked and folded, and of the reason."""
        for block in blocks(self._file.sweep, UserCode(self._file.folder)):
            columns = _BlockColumns(self, block)
            for start in range(0, columns.num_points, POINTS_PER_CHUNK):
                chunk = columns.rows(start, min(start + POINTS_PER_CHUNK, columns.num_points))
                yield pl.DataFrame({"trial_id": self._ids(chunk)} | chunk)

    def points(self) -> Iterator[pa.Table]:
        """Every point as rows of the store's table `points`."""
        for chunk in self.chunks():
            columns: dict[str, Any] = {
                "sweep": pa.repeat(self._file.sweep.name, chunk.height),
                "sweep_hash": pa.repeat(self._file.hash, chunk.height),
                "trial_id": chunk["trial_id"].to_arrow().cast(pa.string()),
            }
            for name, asked in ASKED.items():
                present, places = np.unique(chunk[asked].to_numpy(), return_inverse=True)
                rows = [PART_COLUMNS[name](self.parts.of[name][number]) for number in present]
                schema = pa.schema([POINTS.field(column) for column in rows[0]])
                taken = pa.Table.from_pylist(rows, schema=schema).take(pa.array(places))
                columns |= dict(zip(taken.column_names, taken.columns, strict=True))
            yield pa.table(columns, schema=POINTS)

    def reason_number(self, reason: str) -> int:
        """The number of a reason."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return self.reasons.index(reason)

    def _ids(self, chunk: dict[str, Numbers]) -> list[str]:
        for name, texts in self._texts.items():
            texts.extend(map(hashed_text, self.parts.of[name][len(texts) :]))
        return list(map(id_of, *(map(self._texts[name].__getitem__, chunk[name].tolist()) for name in HASHED_PARTS)))


class _BlockColumns:
    """The numbers of a block's parts along its three axes: seed, recipe (with its pruner) and density."""

    def __init__(self, grid: Grid, block: Block) -> None:
        number = grid.parts.number
        self._dataset, self._model = number("dataset", block.dataset), number("model", block.model)
        self._densities = _numbers(number("density", density) for density in block.densities)
        self._is_dense = np.array([density == 1 for density in block.densities])
        self._seeds = _numbers(number("seeds", seeds) for seeds in block.seeds)
        self._dense_seeds = self._seeds
        if dense := [density for density in block.densities if density == 1]:
            self._dense_seeds = _numbers(number("seeds", fold_seeds(seeds, dense[0])) for seeds in block.seeds)
        self._recipes = {
            "asked_pruner": _numbers(number("pruner", pruner) for pruner, _, _ in block.recipes),
            "asked_levels": _numbers(number("levels", levels) for _, _, levels in block.recipes),
            "training": _numbers(number("training", training) for _, training, _ in block.recipes),
        }
        self._cells: dict[str, Numbers] = {}
        folded = [
            (number("pruner", pruner), number("levels", levels), grid.reason_number(reason))
            for (asked, _, asked_levels), density in product(block.recipes, block.densities)
            for pruner, levels, reason in [fold_pruner(asked, asked_levels, density)]
        ]
        for name, column in zip(("pruner", "levels", "reason"), zip(*folded, strict=True), strict=True):
            self._cells[name] = _numbers(column)
        self.num_points = len(block.seeds) * len(folded)

    def rows(self, start: int, stop: int) -> dict[str, Numbers]:
        """Numbers of the parts of points [start, stop)."""
        seed, cell = np.divmod(np.arange(start, stop), len(self._cells["pruner"]))
        recipe, density = np.divmod(cell, len(self._densities))
        return {
            "dataset": np.full(stop - start, self._dataset, np.uint32),
            "model": np.full(stop - start, self._model, np.uint32),
            "density": self._densities[density],
            "asked_seeds": self._seeds[seed],
            "seeds": np.where(self._is_dense[density], self._dense_seeds[seed], self._seeds[seed]),
            **{name: column[recipe] for name, column in self._recipes.items()},
            **{name: column[cell] for name, column in self._cells.items()},
        }


def _numbers(values: Any) -> Numbers:
    return np.fromiter(values, np.uint32)
