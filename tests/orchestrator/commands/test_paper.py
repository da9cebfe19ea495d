"""`prunesweep reproduce` on a real Ray: interrupted, gone on with, drawn and judged."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import polars as pl

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
    assert "did you mean 'full'" in prunesweep("reproduce", "7", "--scale", "ful", check=2).stderr
    assert (
        "figure 5a has nothing at scale cpu-hours; it has something at full, gpu-hour, cpu-subset, cpu-minutes"
        in prunesweep("reproduce", "5a", "--scale", "cpu-hours", check=2).stderr
    )
    assert not list(tmp_path.iterdir())
