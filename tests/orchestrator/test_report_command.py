"""`prunesweep report` on stores of every kind: a page, or a sentence and exit code 2."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.analysis.conftest import StoreBuilder

from .conftest import CommandLine


@pytest.fixture
def builder(tmp_path: Path) -> StoreBuilder:
    (tmp_path / "store" / "sweeps").mkdir(parents=True)
    return StoreBuilder(tmp_path / "store")


def test_it_prints_every_file_it_wrote(builder: StoreBuilder, prunesweep: CommandLine) -> None:
    builder.both("a", point={}, layers={"in": (10, 1)})
    root = builder.write()
    paths = [Path(line) for line in prunesweep("report", str(root), "--svg", "--csv", "--notebook").stdout.splitlines()]
    assert all(path.is_file() for path in paths)
    assert {path.suffix for path in paths} == {".html", ".svg", ".csv", ".ipynb"}


def test_runs_of_tensorboard_are_written_beside_it(
    builder: StoreBuilder, prunesweep: CommandLine, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    builder.both("a", point={}, epochs=[{"test_accuracy": 0.5}], finished_at=datetime(2026, 11, 21, tzinfo=UTC))
    said = prunesweep("report", str(builder.write()), "--tensorboard", "the runs").stdout
    assert said.endswith("1 runs. Next: tensorboard --logdir 'the runs'\n")
    assert len(list((tmp_path / "the runs").rglob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("several", [False, True])
def test_a_store_without_results_is_a_sentence(
    builder: StoreBuilder, prunesweep: CommandLine, tmp_path: Path, several: bool
) -> None:
    builder.point("a")
    stores = [str(builder.write())]
    if several:
        (tmp_path / "other" / "sweeps").mkdir(parents=True)
        stores.append(str(StoreBuilder(tmp_path / "other").write()))
    result = prunesweep("report", *stores, check=2)
    assert "no results yet; run `prunesweep run SWEEP` first" in result.stderr
    assert not list(tmp_path.rglob("report.html"))


def test_a_store_named_twice_is_a_sentence(builder: StoreBuilder, prunesweep: CommandLine) -> None:
    builder.both("a", point={})
    root = str(builder.write())
    result = prunesweep("report", root, root, check=2)
    assert "each once" in result.stderr


def test_a_file_that_is_no_reference_is_a_sentence(
    builder: StoreBuilder, prunesweep: CommandLine, tmp_path: Path
) -> None:
    builder.both("a", point={})
    (tmp_path / "published.csv").write_text("pruner,accuracy\nsynflow,0.9\n")
    result = prunesweep("report", str(builder.write()), "--reference", str(tmp_path / "published.csv"), check=2)
    assert "expected exactly one column of compression_exponent, compression_ratio, density, sparsity" in result.stderr


def test_a_watch_ends_cleanly_at_an_interrupt(builder: StoreBuilder, tmp_path: Path) -> None:
    builder.both("a", point={"seed": 0})
    builder.point("b", seed=1)
    root = builder.write()
    code = "from orchestrator.cli import main; main()"
    watch = subprocess.Popen(
        [sys.executable, "-c", code, "report", str(root), "--watch", "--every", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert watch.stdout is not None
    assert "1 of 2 trials, 0 failed" in watch.stdout.readline()
    assert '"reload_seconds":60' in (root / "report.html").read_text()
    time.sleep(0.5)  # into the pause
    watch.send_signal(signal.SIGINT)
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 0, err
    assert "No longer watching" in out
    assert "Traceback" not in err
    assert '"reload_seconds":0' in (root / "report.html").read_text()
