"""The lottery-ticket benchmark runs, goes on where it was, and its arithmetic is right."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from benchmarks import lottery_ticket
from orchestrator.expand import expand
from orchestrator.sources import UserCode
from orchestrator.sweepfile import read_sweep_file
from training.levels import level_densities


def test_it_runs_and_what_is_done_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "figure.png"
    command = ["lottery_ticket", "--quick", "--json", "--results", str(tmp_path / "results"), "--figure", str(figure)]
    monkeypatch.setattr(sys, "argv", command)
    lottery_ticket.main()
    printed = capsys.readouterr()
    assert "14 of 14 trials" in printed.err
    rows = json.loads(printed.out)
    assert [(row["density"], row["n"]) for row in rows] == [(1.0, 2), (0.64, 2), (0.4096, 2)]
    assert rows[0]["difference"] == {"mean": 0.0, "half_width": 0.0}  # one dense network stands for all
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "results" / "runs").exists() or not list((tmp_path / "results" / "runs").iterdir())
    monkeypatch.setattr(sys, "argv", [one for one in command if one != "--json"])
    lottery_ticket.main()
    again = capsys.readouterr()
    assert (again.err, again.out.count("\n")) == ("", 5)
    cells = again.out.splitlines()[-1].split("|")
    assert cells[1] == " 59 % "
    assert cells[2].startswith(f" {100 * rows[-1]['rewound']['mean']:.1f} ± ")


def test_differences_are_of_pairs_and_intervals_students() -> None:
    accuracies = {("none", 0): 0.9, ("none", 1): 0.8, ("none", 2): 0.7, ("reinitialise", 0): 0.8}
    accuracies |= {("reinitialise", 1): 0.75, ("reinitialise", 2): 0.5}
    rows = [
        {"pruner": "imp", "ablation": ablation, "seed_init": seed, "final_test_accuracy": accuracy}
        for (ablation, seed), accuracy in accuracies.items()
    ]
    failed = {"pruner": "imp", "ablation": "none", "seed_init": 3, "final_test_accuracy": None, "outcome": "failed"}
    results = pl.DataFrame([{"density": 0.1, "outcome": "completed"} | row for row in [*rows, failed]])
    (row,) = lottery_ticket.compare(results)
    differences = [0.1, 0.05, 0.2]
    low, high = stats.t.interval(0.95, 2, loc=sum(differences) / 3, scale=stats.sem(differences))
    assert row["n"] == 3
    assert row["difference"]["mean"] == pytest.approx((low + high) / 2)
    assert row["difference"]["half_width"] == pytest.approx((high - low) / 2)
    assert row["magnitude"] == {"mean": None, "half_width": None}
    assert "| 90 % | 80.0 ± 24.8 | 68.3 ± 39.9 | – | 11.7 ± 19.0 | 3 |" in lottery_ticket.markdown([row])


def test_every_density_of_the_sweep_lies_on_the_way_to_the_sparsest() -> None:
    """A density beside the stops would cost a level of its own for each seed."""
    file = read_sweep_file(lottery_ticket.SWEEP)
    tickets = [one for one in expand(file.sweep, UserCode(file.folder)) if one.pruner.name == "imp"]
    stops = level_densities(min(tickets, key=lambda one: one.density))
    assert {one.density for one in tickets} <= {1, *stops}
