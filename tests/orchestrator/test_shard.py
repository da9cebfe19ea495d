"""Shards of a sweep: together the whole of it, apart nothing in common, and on one store they end as one run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.plan import make_plan
from orchestrator.shard import Shard
from orchestrator.sharing import levels_key
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table
from orchestrator.sweepfile import SweepFile, parse_sweep
from tests.orchestrator.conftest import SMALL_SWEEP, CommandLine

MANY = SMALL_SWEEP.replace("seed: {count: 2}", "seed: {count: 500}")
LEVELS = """
name: tickets
dataset: digits
model: {name: mlp, widths: [20]}
pruner: {name: imp, schedule: {cut: 0.5}}
sparsity: [0, 0.5, 0.75, 0.875]
seed: {count: 40}
training: {epochs: 2}
"""


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "-1/2", "a/b", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--shard"):
        Shard.parse(text)


def test_shards_are_the_sweep_and_about_equal(tmp_path: Path) -> None:
    file = parse_sweep(MANY, name="many", folder=tmp_path)
    store = Store(tmp_path / "s")
    whole = [trial.trial_id for trial in make_plan(file, store).to_run]
    parts = [make_plan(file, store, shard=Shard(number, 5)) for number in range(1, 6)]
    dealt = [trial.trial_id for part in parts for trial in part.to_run]
    assert len(whole) == 2500
    assert Counter(dealt) == Counter(whole)
    assert all(400 < len(part.to_run) < 600 for part in parts)
    assert {part.num_trials for part in parts} == {len(part.to_run) for part in parts}


def test_trials_that_share_levels_are_dealt_together(tmp_path: Path) -> None:
    file = parse_sweep(LEVELS, name="tickets", folder=tmp_path)
    shards: dict[object, set[int]] = {}
    for number in range(1, 5):
        for trial in make_plan(file, Store(tmp_path / "s"), shard=Shard(number, 4)).to_run:
            shards.setdefault(levels_key(trial.config), set()).add(number)
    assert sum(len(numbers) > 1 for numbers in shards.values()) == 0
    assert len({min(numbers) for numbers in shards.values()}) == 4


@pytest.mark.filterwarnings("default")  # Ray's at exit are not ours
def test_two_shards_on_one_store_end_as_one_run(
    prunesweep: CommandLine, tmp_path: Path, small_sweep: SweepFile
) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    store = Store(tmp_path / "results" / "small")
    first = prunesweep("run", "small.yaml", "--slots", "1", "--device", "cpu", "--shard", "1/2")
    planned = len(make_plan(small_sweep, Store(tmp_path / "empty"), shard=Shard(1, 2)).to_run)
    assert 0 < planned < 10
    assert f"small, shard 1/2: {planned} of {planned} trials completed" in first.stdout
    second = prunesweep("run", "small.yaml", "--slots", "1", "--device", "cpu", "--shard", "2/2")
    assert f"{10 - planned} of {10 - planned} trials completed" in second.stdout
    rows = scan_table(store, "trials").collect()
    assert rows.height == rows["trial_id"].n_unique() == 10
