"""`make bench` and its parts run; what they count is right; what they compare does the same work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.attribution import Point, attribution
from benchmarks.efficiency import mfu
from benchmarks.phases import Stopwatch

REPOSITORY = Path(__file__).resolve().parents[2]


def figures(tmp_path: Path, module: str, *arguments: str) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PRUNESWEEP_CACHE": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-m", module, "--quick", "--json", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_every_part_is_in_the_one_table(tmp_path: Path) -> None:
    found = figures(tmp_path, "benchmarks", "--root", str(tmp_path))
    parts = {row["part"] for row in found["rows"] if row["part"]}
    assert parts == {"step", "evaluation", "scoring", "augmentation", "whole trials"}
    for row in found["rows"]:
        assert row["times_faster"] == pytest.approx(row["simple_seconds"] / row["our_seconds"])
    rows = {row["case"]: row for row in found["rows"]}
    sparse = rows["resnet20 synflow 10^2"]
    assert sparse["times_faster"] > 1.2  # quick and disturbed
    assert sparse["mfu_equivalent"] > sparse["mfu_compact"] > 0
    assert 0 < sparse["mfu_dense"] < 1.5  # of a peak that was measured quickly


def test_whole_trials_do_the_same_work_both_ways(tmp_path: Path) -> None:
    found = figures(tmp_path, "benchmarks.trials_per_hour", "--root", str(tmp_path))
    assert "digits" in found["grid"]
    assert (found["points"], found["trials"]) == (4, 3)
    assert found["same_kept_everywhere"] is True
    for cell in found["cells"]:
        careful, ours = cell["accuracies"]  # the networks, images and recipes are the same; crops are drawn otherwise
        assert abs(careful - ours) < 0.35
    factors = [part["times_faster"] for part in found["parts"]]
    product = 1.0
    for factor in factors:
        product *= factor
    assert product == pytest.approx(found["times_faster"])
    assert found["times_faster"] > 1


def test_evaluation_compares_equal_networks(tmp_path: Path) -> None:
    (row,) = figures(tmp_path, "benchmarks.evaluation")["rows"]
    assert row["loss_difference"] < 1e-5


def test_utilisation_is_work_over_time_and_peak() -> None:
    assert mfu(macs=10**6, batch=100, step_seconds=0.5, peak=2.4e9) == pytest.approx(0.5)


def test_phases_add_up_and_inner_ones_count_once() -> None:
    watch = Stopwatch()
    with watch("scoring"):
        with watch("batches"):
            burn()
        burn()
    burn()
    found = watch.lap()
    assert all(seconds > 0.02 for phase, seconds in found.items() if phase != "evaluation")
    assert found["evaluation"] == 0
    assert found["scoring"] < 2 * found["batches"] + 0.02  # not the inner phase's time as well


def burn(seconds: float = 0.03) -> None:
    import time

    start = time.process_time()
    while time.process_time() - start < seconds:
        pass


def seconds(scoring: float, batches: float, evaluation: float, steps: float) -> dict[str, float]:
    return {"scoring": scoring, "batches": batches, "evaluation": evaluation, "steps and rest": steps}


def point(pruner: str, exponent: float, trial_id: str, reference_scoring: float, **changed: Any) -> Point:
    fields: dict[str, Any] = {
        "careful": seconds(10, 4, 6, 20),
        "reference": seconds(reference_scoring, 1, 3, 16),
        "compact": seconds(reference_scoring, 1, 1, 4),
        "collapsed": False,
    } | changed
    return Point(
        pruner=pruner, exponent=exponent, seed=0, trial_id=trial_id, same_kept=True, accuracies=(0.5, 0.5), **fields
    )


def test_the_ladder_by_hand() -> None:
    """Two pruners share a dense trial; snip scores once for two exponents; one network is collapsed."""
    dense = {"careful": seconds(0, 4, 6, 20)}
    found = attribution(
        [
            point("snip", 0, "dense", 0, **dense),
            point("snip", 1, "s1", 8),
            point("snip", 2, "s2", 0, compact=seconds(0, 0, 0, 0), collapsed=True),
            point("random", 0, "dense", 0, **dense),
        ],
        processes=2,
    )
    rungs = [part["seconds"] for part in found["parts"]]
    # careful: 30 + 40 + 40 + 30; batches save 3 a point, evaluation 3, steps 4, scoring alone 20 -> 16
    assert rungs[:5] == [140, 128, 116, 100, 96]
    # one dense trial (20) and one scoring (8) fewer; the collapsed one saves all its 20, the others 14 each
    assert rungs[5:] == [68, 48, 20]
    assert found["times_faster"] == 7
    assert found["trials_per_hour"] == {"careful": 4 * 7200 / 140, "product": 4 * 7200 / 20}
