"""What a fresh interpreter loads: the command line and the analysis start without the heavy libraries, and at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "torchvision")
MOST_SECONDS = 0.5
"""Of processor time until the command line is there: a fifth of it is what it takes, and other work does not count."""


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import orchestrator.cli", (*HEAVY, "polars", "pyarrow", "altair", "pydantic")),
        ("import orchestrator.sweepfile", (*HEAVY, "polars", "altair")),
        ("import orchestrator.plan", HEAVY),
        ("import orchestrator.status", (*HEAVY, "altair")),
        ("import analysis.report.write", HEAVY),
        ("import training.config, models.table, pruning.table, training.datasets.table", HEAVY),
        ("import training.trial", ("ray", "polars", "pydantic", "torchvision")),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(statement: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys; {statement}; print([name for name in {forbidden!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_command_line_is_there_in_half_a_second() -> None:
    code = "import time, orchestrator.cli; print(time.process_time())"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < MOST_SECONDS
