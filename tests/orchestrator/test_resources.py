"""What a trial reserves: what is typed goes before the sweep file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.resources import paid_resources, trial_resources
from orchestrator.sweepfile import parse_sweep
from tests.orchestrator.conftest import SMALL_SWEEP


@pytest.mark.parametrize(
    ("in_file", "typed", "reserved", "paid"),
    [
        ("", (None, None), (None, 1.0), (1.0, 1.0)),  # auto: one GPU where there are any
        ("resources: {gpu: auto, cpu: 2}\n", (None, None), (None, 2.0), (1.0, 2.0)),
        ("resources: {gpu: 0.25, cpu: 2}\n", (None, None), (0.25, 2.0), (0.25, 2.0)),
        ("resources: {gpu: 0.25, cpu: 2}\n", (0.5, None), (0.5, 2.0), (0.5, 2.0)),
        ("resources: {gpu: 0.25, cpu: 2}\n", (0.0, 3.0), (0.0, 3.0), (0.0, 3.0)),
    ],
)
def test_what_is_typed_goes_before_the_sweep_file(
    in_file: str, typed: tuple[Any, Any], reserved: tuple[Any, Any], paid: tuple[float, float], tmp_path: Path
) -> None:
    sweep = parse_sweep(SMALL_SWEEP + in_file, name="small.yaml", folder=tmp_path).sweep
    names = ("gpus_per_trial", "cpus_per_trial")
    assert trial_resources(sweep, *typed) == dict(zip(names, reserved, strict=True))
    assert paid_resources(sweep, *typed) == dict(zip(names, paid, strict=True))
