"""The grid in columns is the grid point by point: the same configurations, reasons and ids in the same order."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from orchestrator import grid as grid_module
from orchestrator.expand import expand
from orchestrator.grid import Grid
from orchestrator.identity import fold, trial_id
from orchestrator.plan import points
from orchestrator.sources import UserCode
from orchestrator.store.rows import config_columns
from orchestrator.store.schema import POINTS
from orchestrator.sweepfile import parse_sweep, read_sweep_file

SHIPPED = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))

EVERY_AXIS = """
name: every axis
dataset: [digits, {name: synthetic, shape: [1, 4, 4], validation: [0, 0.1]}]
model: [mlp, {name: mlp, widths: [8]}]
pruner:
  - {name: [random, snip], iterations: [1, 3], schedule: [exponential, linear], scope: [global, local]}
  - {name: imp, schedule: {cut: 0.5}, rewind: [weights, lr]}
  - {name: snip, mode: [eval, train]}
density: [1, 0.5, 0.3, 0.05]
seed: {init: [0, 1], data: [0, 1], prune: [0, 1, 2]}
training: {epochs: 2, lr: [0.1, 0.2], optimizer: [sgd, adam]}
"""


@pytest.mark.parametrize("rows", [7, 50_000])
def test_columns_and_points_agree(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_module, "POINTS_PER_CHUNK", rows)
    file = parse_sweep(EVERY_AXIS, name="e.yaml", folder=tmp_path)
    found = list(points(file)) if rows > 7 else [one for _, one in zip(range(900), points(file), strict=False)]
    for (asked, folded, reason, identity), config in zip(
        found, expand(file.sweep, UserCode(tmp_path)), strict=rows > 7
    ):
        assert (asked, (folded, reason), identity) == (config, fold(config), trial_id(fold(config)[0]))
    assert len({reason for _, _, reason, _ in found}) >= 4


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_sweeps_agree_too(path: Path) -> None:
    file = read_sweep_file(path)
    for (asked, folded, _, identity), config in zip(
        points(file), expand(file.sweep, UserCode(file.folder)), strict=True
    ):
        assert (asked, folded, identity) == (config, fold(config)[0], trial_id(fold(config)[0]))


def test_rows_of_points_are_the_columns_of_each_configuration_as_asked(tmp_path: Path) -> None:
    file = parse_sweep(EVERY_AXIS, name="e.yaml", folder=tmp_path)
    table = pa.concat_tables(Grid(file).points())
    common = {"sweep": file.sweep.name, "sweep_hash": file.hash}
    rows = [
        common | {"trial_id": trial_id(fold(asked)[0])} | config_columns(asked)
        for asked in expand(file.sweep, UserCode(tmp_path))
    ]
    assert table.equals(pa.Table.from_pylist(rows, schema=POINTS))


def test_a_chunk_holds_numbers_not_objects(tmp_path: Path) -> None:
    (chunk,) = Grid(parse_sweep(SMALL, name="s.yaml", folder=tmp_path)).chunks()
    assert set(chunk.dtypes) == {pl.String, pl.UInt32}


SMALL = "name: s\ndataset: digits\nmodel: mlp\npruner: snip\nsparsity: [0, 0.5]\ntraining: {epochs: 1}\n"
