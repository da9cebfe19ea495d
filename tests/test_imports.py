"""What a fresh interpreter loads: the command line and the analysis start without the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "torchvision")


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
