"""Snapshots live as long as a trial needs them, and runs leave few files behind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator import leftovers
from orchestrator.leftovers import tidy, unneeded_snapshots
from orchestrator.plan import make_plan, publish_points
from orchestrator.store.compact import num_files
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile, parse_sweep
from training.config import TrialConfig

IMP = """
name: NAME
dataset: digits
model: {name: mlp, widths: [20]}
pruner: imp
sparsity: [0.5, 0.75]
seed: {count: 2}
training: {epochs: 1}
"""


def sweep(name: str, folder: Path) -> SweepFile:
    return parse_sweep(IMP.replace("NAME", name), name=f"{name}.yaml", folder=folder)


def commit(store: Store, trial_id: str, status: str = "completed") -> None:
    row = {"trial_id": trial_id, "attempt_id": f"a{trial_id}", "status": status, "attempt": 1}
    write_segment(store, f"s-{trial_id}", [{"trials": [row]}])


def snapshot(store: Store, kind: str, key: str, config: TrialConfig | None) -> None:
    store.publish_text("tensors", kind, key, "00000001-0.safetensors")
    if config is not None:
        store.publish_text(config.to_json(), kind, f"{key}.json")


def test_a_checkpoint_stays_until_its_trial_is_completed_and_a_prefix_while_one_shares_it(tmp_path: Path) -> None:
    store, file = Store(tmp_path), sweep("a", tmp_path)
    publish_points(file, store)
    trials = list(make_plan(file, store).to_run)
    assert len(trials) == 4
    for number, trial in enumerate(trials):
        snapshot(store, "checkpoints", f"c{number}", trial.config)
        snapshot(store, "prefixes", f"p{number}", trial.config)
    snapshot(store, "checkpoints", "old", None)
    assert unneeded_snapshots(store) == leftovers.Unneeded(checkpoints=[], prefixes=[])

    commit(store, trials[0].trial_id)
    commit(store, trials[1].trial_id, "failed")
    assert unneeded_snapshots(store) == leftovers.Unneeded(checkpoints=["c0"], prefixes=[])

    seeds = [trial.config.seeds.init for trial in trials]
    first = [number for number in range(4) if seeds[number] == seeds[0]]
    for number in first[1:]:
        commit(store, trials[number].trial_id)
    tidy(store, Console(file=io.StringIO()))
    rest = sorted(set(range(4)) - set(first))
    assert store.folders("checkpoints") == [*(f"c{number}" for number in rest), "old"]
    assert store.folders("prefixes") == [f"p{number}" for number in rest]

    for number in rest:
        commit(store, trials[number].trial_id)
    tidy(store, Console(file=io.StringIO()))
    assert [store.entries(kind) for kind in ("checkpoints", "prefixes")] == [[], []]


def test_a_sweep_that_is_done_leaves_another_sweeps_snapshots_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, other = sweep("one", tmp_path), sweep("other", tmp_path)
    other = parse_sweep(other.text.replace("epochs: 1", "epochs: 2"), name="other.yaml", folder=tmp_path)
    publish_points(one, store)
    publish_points(other, store)
    theirs = make_plan(other, store).to_run[0]
    snapshot(store, "checkpoints", "theirs", theirs.config)
    snapshot(store, "prefixes", "theirs", theirs.config)
    for trial in make_plan(one, store).to_run:
        commit(store, trial.trial_id)
    tidy(store, Console(file=io.StringIO()))
    assert store.folders("checkpoints") == store.folders("prefixes") == ["theirs"]
    assert store.files("checkpoints") == ["theirs.json"]


def test_what_is_no_longer_asked_for_is_needed_by_nobody(tmp_path: Path) -> None:
    store, file = Store(tmp_path), sweep("a", tmp_path)
    publish_points(file, store)
    snapshot(store, "checkpoints", "c", make_plan(file, store).to_run[0].config)
    publish_points(parse_sweep(file.text.replace("epochs: 1", "epochs: 2"), name="a.yaml", folder=tmp_path), store)
    assert unneeded_snapshots(store).checkpoints == ["c"]


def test_a_run_compacts_above_the_budget_and_not_while_somebody_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    for number in range(12):
        commit(store, f"t{number:02d}")
    monkeypatch.setattr(leftovers, "FILE_BUDGET", 10)
    tidy(store, Console(file=io.StringIO()), is_leaving=True)
    assert num_files(store) == 12
    said = io.StringIO()
    tidy(store, Console(file=said))
    assert num_files(store) == 1
    assert "12 files of results merged into 1" in said.getvalue()
    assert scan_trials(store).collect().height == 12


def test_a_damaged_file_does_not_stop_the_run_that_tidies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    for number in range(12):
        commit(store, f"t{number:02d}")
    write_segment(store, "s-t00", [{"layers": [{"trial_id": "t00", "attempt_id": "at00", "position": 0}]}])
    (tmp_path / "layers" / "s-t00.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(leftovers, "FILE_BUDGET", 10)
    said = io.StringIO()
    tidy(store, Console(file=said, width=1000))
    assert "Nothing is lost, but tidying the store failed" in said.getvalue()
    assert "prunesweep doctor" in said.getvalue()
    assert scan_trials(store).collect().height == 12
