"""The folder of data sets: named by option, sweep file or variable, it reaches every worker and no trial's identity."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.expand import expand
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.sweepfile import parse_sweep

from .conftest import SMALL_SWEEP, CommandLine

OWN = """
import torch
from training.datasets.contract import Dataset, Split


def load(data_root):
    seed = int((data_root / "seed.txt").read_text())
    source = torch.Generator().manual_seed(seed)
    split = Split(images=torch.randn(20, 1, 8, 8, generator=source), labels=torch.arange(20) % 2)
    return Dataset(train=split, validation=split, test=split, num_classes=2)
"""
SWEEP = (
    SMALL_SWEEP.replace("digits", "own_set:load")
    .replace("[random, magnitude]", "magnitude")
    .replace("[0, 0.9, 0.99]", "0.9")
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PRUNESWEEP_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "own_set.py").write_text(OWN)
    for seed in (1, 2, 3):
        (tmp_path / f"root{seed}").mkdir()
        (tmp_path / f"root{seed}" / "seed.txt").write_text(str(seed))
    return tmp_path


def hashes(results: Path) -> set[str]:
    return set(scan_trials(Store(results)).collect()["data_hash"].to_list())


def test_option_goes_before_sweep_file_before_variable_and_each_reaches_the_workers(
    here: Path, prunesweep: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNESWEEP_DATA", str(here / "root1"))
    (here / "plain.yaml").write_text(SWEEP)
    (here / "keyed.yaml").write_text(f"{SWEEP}data_root: root2\n")
    seen = []
    for number, (file, options) in enumerate(
        [("plain.yaml", []), ("keyed.yaml", []), ("keyed.yaml", ["--data-root", "root3"])]
    ):
        prunesweep("run", file, "--results", f"r{number}", "--slots", "1", *options)
        (found,) = hashes(here / f"r{number}")
        seen.append(found)
    assert len(set(seen)) == 3
    ids = [set(scan_trials(Store(here / f"r{number}")).collect()["trial_id"].to_list()) for number in range(3)]
    assert ids[0] == ids[1] == ids[2]
    monkeypatch.delenv("PRUNESWEEP_DATA")
    assert "All done" in prunesweep("resume", "r2").stdout
    identity = next(iter(ids[1]))
    assert "final_train_loss" in prunesweep("trial", "r1", identity, "--debug").stdout


def test_a_resume_from_elsewhere_reads_the_data_that_the_run_was_told_to_read(
    here: Path, prunesweep: CommandLine
) -> None:
    (here / "keyed.yaml").write_text(f"{SWEEP}data_root: root2\n")
    told = ("--results", "r", "--slots", "1", "--data-root", "root3")
    prunesweep("run", "keyed.yaml", *told, "--within", "0:00:00", check=5)
    assert hashes(here / "r") == set()
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    results = str(here / "r")
    (here / "root3").rename(here / "moved")
    refused = prunesweep("resume", results, cwd=elsewhere, check=2).stderr
    assert f"{here / 'root3'}, where own_set:load is to be read from, is not on this machine: --data-root" in refused
    assert hashes(here / "r") == set()
    prunesweep("resume", results, "--data-root", "../moved", "--slots", "1", cwd=elsewhere)
    prunesweep("run", "keyed.yaml", "--results", "plain", "--data-root", "moved", "--slots", "1")
    assert hashes(here / "r") == hashes(here / "plain")
    identity = scan_trials(Store(here / "r")).collect()["trial_id"][0]
    assert "final_train_loss" in prunesweep("trial", results, identity, "--debug", cwd=elsewhere).stdout


def test_the_root_is_no_part_of_a_trial(tmp_path: Path) -> None:
    texts = [SMALL_SWEEP, f"{SMALL_SWEEP}data_root: /somewhere\n"]
    one, two = (parse_sweep(text, name="s", folder=tmp_path).sweep for text in texts)
    assert list(expand(one, UserCode(tmp_path))) == list(expand(two, UserCode(tmp_path)))
    assert two.data_root == "/somewhere"


def test_data_that_is_missing_or_damaged_is_refused_before_the_first_trial(
    here: Path, prunesweep: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here / "root1" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(b"cut")
    (here / "s.yaml").write_text(SMALL_SWEEP.replace("digits", "fashion-mnist"))
    result = prunesweep("run", "s.yaml", "--data-root", "root1", check=2)
    assert f"{folder / 'train-images-idx3-ubyte'}: MD5" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (here / "results").exists()
    shown = prunesweep("show", "datasets", "--data-root", "root1").stdout
    assert str(here / "root1") in shown.replace("\n", "")
    by_name = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    assert "there" in by_name["fashion-mnist"]
    assert "downloaded" in by_name["mnist"]
    assert "needs no" in by_name["digits"]
