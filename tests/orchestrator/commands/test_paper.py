"""`prunesweep reproduce` on a real Ray: interrupted, gone on with, drawn and judged; and what it leaves out."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from orchestrator import paper
from orchestrator.cli import run_command
from orchestrator.paper import Scale
from tests.orchestrator.conftest import CommandLine


def test_a_figure_is_interrupted_gone_on_with_and_judged(prunesweep: CommandLine, tmp_path: Path) -> None:
    arguments = ["reproduce", "3", "--results", "here", "--slots", "1", "--data-root", "my data", "--retry-failed"]
    said = ""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "orchestrator", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        for line in started.stdout:
            if line.startswith("0/3 trials") and "0/3 trials" not in said:  # twice would not wait for what is in flight
                started.send_signal(signal.SIGINT)
            said += line
    assert started.returncode == 3, said
    # what was typed, in the order of the help
    again = "prunesweep reproduce 3 --results here --slots 1 --data-root 'my data' --retry-failed"
    assert f"Interrupted. Next: {again}\n" in said

    result = prunesweep(*arguments)
    assert "paper-figure3-cpu-minutes: 3 of 3 trials completed, 0 failed" in result.stdout
    assert "5 points: 1 agrees, 4 not comparable" in result.stdout
    for name in ("figures/figure3.png", "figures/figure3.svg", "tables/figure3-agreement.csv"):
        assert (tmp_path / "here" / name).stat().st_size > 100
    judged = pl.read_parquet(tmp_path / "here" / "tables" / "figure3-agreement.parquet")
    (synflow,) = judged.filter(pl.col("point") == "synflow").rows(named=True)
    assert (synflow["verdict"], synflow["scale"], synflow["seeds"]) == ("agrees", "cpu-minutes", 1)
    assert 0 <= synflow["ours"] < 1e-13
    assert (judged.filter(pl.col("point") != "synflow")["ours"] > 0.1).all()


def test_what_cannot_be_run_is_the_users_to_choose_otherwise(prunesweep: CommandLine, tmp_path: Path) -> None:
    assert "figure 9: expected one of" in prunesweep("reproduce", "9", check=2).stderr
    assert "figure 5: expected 5a or 5b" in prunesweep("reproduce", "5", check=2).stderr
    assert "did you mean 'full'" in prunesweep("reproduce", "7", "--scale", "ful", check=2).stderr
    assert (
        "figure 5a has nothing at scale cpu-hours; it has something at full, gpu-hour, cpu-subset, cpu-minutes"
        in prunesweep("reproduce", "5a", "--scale", "cpu-hours", check=2).stderr
    )
    assert not list(tmp_path.iterdir())


def test_a_typing_mistake_is_answered_before_anything_heavy_is_imported() -> None:
    heavy = ("altair", "ray", "torch", "vl_convert")
    code = (
        "import sys; from orchestrator.cli import run_command; "
        f"assert run_command(['reproduce', '9']) == 2; print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


BLANK = {"dataset": {"name": "blank", "shape": [3, 32, 32], "num_classes": 10}, "pruner": "random"}
PICTURES = {"dataset": "cifar100", "pruner": {"name": "snip", "mode": "eval", "examples_per_class": 1}}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """No data set here, none to be fetched; figures 3 and 4 at a scale of seconds. Returns what will be printed."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PRUNESWEEP_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    narrow = {"model": {"name": "vgg19", "width_factor": 0.125}}
    parts = {"figure3": None, "figure3-data": PICTURES, "figure4": BLANK, "figure4-data": PICTURES}
    seconds = {part: keys and Scale.model_validate(narrow | keys) for part, keys in parts.items()}
    monkeypatch.setattr(paper, "_scales", lambda: {"seconds": seconds})
    printed = io.StringIO()
    for console in ("commands.paper.out", "commands.running.out", "cli.err"):
        monkeypatch.setattr(f"orchestrator.{console}", Console(file=printed))
    return printed


def test_what_cannot_be_had_is_left_out_before_the_first_trial_and_the_rest_is_drawn(
    tmp_path: Path, offline: io.StringIO
) -> None:
    assert run_command(["reproduce", "4", "--scale", "seconds", "--results", "here", "--slots", "1"]) == 0
    said = offline.getvalue()
    left_out = (
        f"paper-figure4-data-seconds is left out: data set cifar100 is not in {tmp_path / 'data'}, and cannot be "
        "downloaded"
    )
    assert said.startswith(left_out)
    assert "--data-root" in said.splitlines()[0]
    assert said.index("paper-figure4-seconds: 1 of 1 trials completed") > 0
    judged = pl.read_parquet(tmp_path / "here" / "tables" / "figure4-agreement.parquet")
    causes = dict(judged.select("point", "cause").iter_rows())
    assert causes["random"] == "no number was published"
    assert causes["snip"] == "no result here yet: scored on images, published imagenet"
    assert (tmp_path / "here" / "figures" / "figure4.png").stat().st_size > 100


def test_a_figure_without_any_of_its_data_sets_is_bad_input(tmp_path: Path, offline: io.StringIO) -> None:
    assert run_command(["reproduce", "3", "--scale", "seconds", "--results", "here"]) == 2
    said = offline.getvalue()
    assert "paper-figure3-data-seconds is left out: data set cifar100 is not in" in said
    assert "figure 3: none of its data sets can be had; --scale cpu-minutes needs none" in said
    assert not (tmp_path / "here" / "trials").exists()
