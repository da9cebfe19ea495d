"""Trials as runs of TensorBoard, read back by its own reader."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysis.report import tensorboard as module
from analysis.report.tensorboard import write_runs
from analysis.scan import scan

from .conftest import StoreBuilder


def epoch(number: int, level: int = 1) -> dict[str, Any]:
    return {
        "level": level, "epoch": number, "lr": 0.1, "train_loss": 2.0 / number, "test_loss": 2.5 / number,
        "test_accuracy": 0.25 * number,
    }  # fmt: skip


@pytest.fixture
def root(builder: StoreBuilder) -> Path:
    """Two trials with epochs, the dense one under two curves; one failed, one missing."""
    at: dict[str, Any] = {"finished_at": datetime(2026, 11, 21, tzinfo=UTC)}
    builder.point("dense", pruner="snip/mine", density=1.0)
    builder.point("dense", pruner="synflow", density=1.0)
    builder.trial("dense", pruner="none", density=1.0, epochs=[epoch(1), epoch(2)], **at)
    epochs = [epoch(1), epoch(2), epoch(1, 2), epoch(2, 2)]
    builder.both("levels", point={"seed": 3, "levels": 2}, epochs=epochs, **at)
    builder.both("failed", point={"seed": 4}, error=("ValueError", "no"), **at)
    builder.point("missing", seed=5)
    return builder.write()


def read(folder: Path) -> dict[str, Any]:
    """Points by run and tag."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="pip install tensorboard"
    )
    found = {}
    for events in sorted(folder.rglob("events.out.tfevents.*")):
        run = accumulator.EventAccumulator(str(events.parent)).Reload()
        tags = {tag: [(one.step, one.value) for one in run.Scalars(tag)] for tag in run.Tags()["scalars"]}
        name = events.parent.relative_to(folder).as_posix()
        assert name not in found
        found[name] = tags | {"settings": run.summary_metadata["_hparams_/session_start_info"].plugin_data.content}
    return found


def test_each_trial_is_a_run_with_a_point_an_epoch_and_its_settings(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    trials = scan(root)
    for _ in range(2):  # the second replaces the first
        assert write_runs(trials.results, trials.epochs, tmp_path / "runs") == 2
    found = read(tmp_path / "runs")
    dense, levels = sorted(found, key=lambda name: "levels" in name)
    assert dense == "digits, mlp/snip_mine/density 1, seed 0, dense"
    assert found[dense]["accuracy/test"] == [(1, 0.25), (2, 0.5)]
    assert found[dense]["loss/train"] == [(1, 2.0), (2, 1.0)]
    assert "accuracy/validation" not in found[dense]
    assert [step for step, _ in found[levels]["accuracy/test"]] == [1, 2, 3, 4]
    assert found[levels]["lr"][3] == pytest.approx((4, 0.1))
    for setting in (b"seed_init", b"model_label", b"mlp", b"density"):
        assert setting in found[dense]["settings"]


def test_more_than_tensorboard_shows_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    monkeypatch.setattr(module, "MOST_RUNS", 1)
    trials = scan(root)
    with pytest.raises(ValueError, match=r"2 trials, .* at most 1 runs: `prunesweep export"):
        write_runs(trials.results, trials.epochs, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_without_the_package_it_says_what_to_type(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    trials = scan(root)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        write_runs(trials.results, trials.epochs, tmp_path / "runs")
