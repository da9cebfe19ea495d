"""Each command says what it did, and its exit code means something."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from models.weights import read_weights
from orchestrator import cli
from orchestrator.cli import run_command
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table, scan_trials

from .conftest import SMALL_SWEEP, CommandLine


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    return tmp_path


def test_plan_counts_points_trials_and_what_is_beyond_maximal_compression(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "wide.yaml").write_text(SMALL_SWEEP.replace("0.99]", "0.999, 0.9999]"))
    assert run_command(["plan", "wide.yaml", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["points"], plan["trials"], plan["to_run"]) == (16, 14, 14)
    assert plan["axes"]["density"] == {"1": 4, "0.1": 4, "0.001": 4, "0.0001": 4}
    # 64 x 20 + 20 x 10 = 1,480 weights in 2 layers: 0.999 leaves 1, 0.9999 none
    (beyond,) = plan["beyond_maximal_compression"]
    assert beyond["maximal_compression"] == 740
    assert beyond["densities"] == [0.001, 0.0001]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{name: mlp, widths: [20]}", "{name: mlp, widths: [-3]}", "ValueError: width -3: expected at least 1"),
        ("{name: mlp, widths: [20]}", "vgg16_bn", "model vgg16_bn {} on digits {} cannot be built: ValueError"),
        ("{name: mlp, widths: [20]}", "own:raises", "cannot be built: KeyError: 'no'"),
        ("dataset: digits", "dataset: own:raises", "cannot be built: KeyError: 'no'"),
        (
            "random",
            "{name: gmp, every: 0}",
            'pruner gmp {"every":0}: ValueError: every 0: expected a whole number of steps',
        ),
        ("random", "{name: rigl, distribution: erc}", "pruner rigl"),
        ("random", "own:raises", "pruner own:raises {}: KeyError: 'no'"),
    ],
)
def test_what_cannot_be_built_is_the_users_to_fix(
    prunesweep: CommandLine, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "own.py").write_text("def raises(**options):\n    raise KeyError('no')\n")
    (tmp_path / "sub" / "wrong.yaml").write_text(SMALL_SWEEP.replace(old, new))
    result = prunesweep("plan", "sub/wrong.yaml", check=2)
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_names_are_printed_as_they_are(here: Path, capfd: pytest.CaptureFixture[str], prunesweep: CommandLine) -> None:
    (here / "odd.yaml").write_text(SMALL_SWEEP.replace("name: small", "name: '[bold]x :smile:'"))
    assert prunesweep("plan", "odd.yaml").stdout.startswith("[bold]x :smile:: 12 points")


def test_run_status_report_and_trial_on_one_store(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    ran = prunesweep("run", "small.yaml", "--slots", "1")
    assert "10 of 10 trials completed, 0 failed. All done. Next: prunesweep report" in ran.stdout
    again = prunesweep("run", "small.yaml")
    assert "All done" in again.stdout
    status = json.loads(prunesweep("status", "results/small", "--json").stdout)
    total = status["total"]
    assert (total["trials"], total["completed"], total["failed"], total["missing"]) == (10, 10, 0, 0)
    assert status["axes"]["pruner"]["magnitude"]["completed"] == 6
    assert "Next: prunesweep report" in prunesweep("status", "results/small").stdout

    shown = prunesweep("trial", "results/small", "zz", check=2)
    assert "no trial of sweep 'small'" in shown.stderr
    ambiguous = prunesweep("trial", "results/small", "", check=2)
    assert "begins 10 trial ids" in ambiguous.stderr

    results = tmp_path / "results" / "small"
    (results / "trials" / "notes.txt").write_text("not ours")
    damaged = results / "trials" / "cut.parquet"
    for content in (b"", b"PAR1 cut"):
        damaged.write_bytes(content)
        for command in (
            ["status", str(results)],
            ["plan", "small.yaml"],
            ["report", str(results)],
            ["run", "small.yaml"],
        ):
            said = prunesweep(*command, check=2).stderr
            assert f"damaged: {damaged}. Next: prunesweep doctor {results} --repair" in said
    assert "1 problems" in prunesweep("doctor", str(results), check=1).stdout
    assert "moved to quarantine/" in prunesweep("doctor", str(results), "--repair", check=1).stdout
    assert "0 problems" in prunesweep("doctor", str(results)).stdout
    assert (results / "quarantine" / "trials" / "cut.parquet").read_bytes() == b"PAR1 cut"

    report = prunesweep("report", "results/small", "--png")
    assert "report.html" in report.stdout
    assert (tmp_path / "results" / "small" / "figures" / "accuracy.png").stat().st_size > 1000


def test_a_trial_run_again_here_gives_the_stored_bits(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP.replace("count: 2", "count: 1").replace("[0, 0.9, 0.99]", "0.9"))
    prunesweep("run", "small.yaml", "--slots", "1")
    lines = prunesweep("plan", "small.yaml").stdout
    assert "2 done" in lines
    for identity in scan_trials(Store(tmp_path / "results" / "small")).collect()["trial_id"]:
        shown = prunesweep("trial", "results/small", identity[:10]).stdout
        assert identity in shown
        assert "maximal compression 740" in shown
        again = prunesweep("trial", "results/small", identity[:10], "--debug").stdout
        compared = [line.split() for line in again.splitlines() if line.split()[:1] == ["final_train_loss"]]
        assert compared
        assert compared[0][1] == compared[0][2]
    exported = prunesweep("trial", "results/small", identity[:10], "--weights", "trained.safetensors").stdout
    assert "Trained weights: trained.safetensors" in exported
    weights = read_weights(tmp_path / "trained.safetensors")
    layers = {f"{layer}.weight": kept for layer, kept in kept_of(tmp_path / "results" / "small", identity).items()}
    assert {name: int(weights[name].count_nonzero()) for name in layers} == layers
    wrong = prunesweep("trial", "results/small", identity[:10], "--weights", "trained.onnx", check=2)
    assert "expected a .safetensors file" in wrong.stderr


def test_a_failed_trial_is_shown_and_debugged_also_after_its_code_has_changed(
    prunesweep: CommandLine, tmp_path: Path
) -> None:
    text = SMALL_SWEEP.replace("[random, magnitude]", "own:Raises").replace("[0, 0.9, 0.99]", "0.9")
    (tmp_path / "small.yaml").write_text(text.replace("{count: 2}", "0"))
    (tmp_path / "own.py").write_text("class Raises:\n    def score(self, *a):\n        raise KeyError('no')\n")
    prunesweep("run", "small.yaml", "--slots", "1", check=1)
    identity = scan_trials(Store(tmp_path / "results" / "small")).collect()["trial_id"].item()
    debugged = prunesweep("trial", "results/small", identity[:8], "--debug", check=1)
    assert "KeyError: 'no'" in debugged.stderr
    assert "not in your input" not in debugged.stderr
    (tmp_path / "own.py").unlink()
    assert "KeyError: 'no'" in prunesweep("trial", "results/small", identity[:8]).stdout


def kept_of(folder: Path, identity: str) -> dict[str, int]:
    rows = scan_table(Store(folder), "layers").filter(pl.col("trial_id") == identity).collect()
    return dict(zip(rows["layer"], rows["kept"], strict=True))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["plan", "none.yaml"], "none.yaml: cannot be read"),
        (["run", "small.yaml", "--slots", "0"], "--slots"),
        (["run", "small.yaml", "--device", "gpu"], "'gpu' is not one of"),
        (["frobnicate"], "No such command"),
        (["show", "pruner"], "did you mean 'pruners'?"),
        (["status", "nowhere"], "nowhere holds no sweep"),
        (["resume", "nowhere"], "nowhere holds no sweep"),
        (["report", "nowhere"], "nowhere holds no sweep"),
        (["init", "small.yaml"], "small.yaml exists already"),
        (["init", "nowhere/small.yaml"], "nowhere/small.yaml cannot be written"),
        (["run", "small.yaml", "--address", "nonsense"], "--address nonsense: no Ray is running there"),
    ],
)
def test_bad_input_is_exit_code_2_with_a_sentence(
    here: Path, arguments: list[str], expected: str, prunesweep: CommandLine
) -> None:
    result = prunesweep(*arguments, check=2)
    assert expected in result.stderr + result.stdout
    assert "Traceback" not in result.stderr
    assert not (here / "nowhere").exists()


def test_a_store_that_cannot_be_written_is_the_users_to_fix(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    (tmp_path / "results").write_text("a file where a folder should be")
    result = prunesweep("run", "small.yaml", check=2)
    assert "results" in result.stderr
    assert "Traceback" not in result.stderr


def test_our_own_fault_is_exit_code_4(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("orchestrator.catalogue.show_catalogue", broken)
    monkeypatch.setattr(cli, "err", Console(stderr=True))
    assert run_command(["show", "pruners"]) == 4
    assert "error in prunesweep, not in your input" in capfd.readouterr().err


def test_init_writes_a_file_that_plan_accepts(here: Path) -> None:
    assert run_command(["init", "mine.yaml"]) == 0
    assert run_command(["plan", "mine.yaml"]) == 0


def test_the_schema_is_json_that_names_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"name", "dataset", "model", "pruner", "sparsity", "seed", "training", "preset"} <= set(schema["properties"])


def test_show_lists_every_name(capfd: pytest.CaptureFixture[str], prunesweep: CommandLine) -> None:
    assert "synflow" in prunesweep("show", "pruners").stdout
    assert "convnet" in prunesweep("show", "models").stdout
    assert "digits" in prunesweep("show", "datasets").stdout
    presets = prunesweep("show", "presets").stdout
    assert "synflow-cifar: the SynFlow paper on CIFAR-10" in presets
    assert "Tanaka, Kunin, Yamins and Ganguli 2020" in presets
