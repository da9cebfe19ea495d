"""`resume` runs what is missing and what failed, or the part of it that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.choice import Choice
from orchestrator.errors import BadInput
from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile


@pytest.fixture
def store(small_sweep: SweepFile, tmp_path: Path) -> Store:
    """Of ten trials: two completed, four failed, four missing."""
    store = Store(tmp_path / "store")
    ids = [trial.trial_id for trial in make_plan(small_sweep, store).to_run]
    failures = [
        ("OutOfMemoryError", "CUDA out of memory", 1),
        ("OutOfMemoryError", "CUDA out of memory", 3),
        ("ValueError", "width [7]", 1),
        (None, None, 2),
    ]
    for identity in ids[:2]:
        write_segment(store, identity, [{"trials": [{"trial_id": identity, "attempt_id": "a", "status": "completed"}]}])
    for identity, (kind, message, attempt) in zip(ids[2:6], failures, strict=True):
        row = {"trial_id": identity, "attempt_id": "a", "status": "failed", "attempt": attempt}
        write_segment(store, identity, [{"trials": [row | {"error_type": kind, "error_message": message}]}])
    return store


@pytest.mark.parametrize(
    ("choice", "attempts", "counts"),
    [
        (Choice(), [1, 1, 1, 1], (4, 0)),
        (Choice.of_resume(None, None, None), [2, 4, 2, 3, 1, 1, 1, 1], (0, 0)),
        (Choice.of_resume("failed", None, None), [2, 4, 2, 3], (0, 4)),
        (Choice.of_resume("missing", None, None), [1, 1, 1, 1], (4, 0)),
        (Choice.of_resume("failed", "out of memory", None), [2, 4], (2, 4)),
        (Choice.of_resume("failed", "^OutOfMemoryError: CUDA", None), [2, 4], (2, 4)),
        (Choice.of_resume(None, r"width \[\d\]$", None), [2, 1, 1, 1, 1], (3, 0)),
        (Choice.of_resume("failed", None, 3), [2, 2, 3], (1, 4)),
        (Choice.of_resume("failed", "memory", 3), [2], (3, 4)),
        (Choice.of_resume("failed", "nothing like it", None), [], (4, 4)),
        (Choice.of_resume("failed", None, None).once, [], (4, 4)),
    ],
)
def test_what_is_chosen(
    small_sweep: SweepFile, store: Store, choice: Choice, attempts: list[int], counts: tuple[int, int]
) -> None:
    plan = make_plan(small_sweep, store, choice=choice)
    assert [trial.attempt for trial in plan.to_run] == attempts
    assert (plan.num_failed, plan.num_left_out) == counts
    assert (plan.num_completed, plan.num_trials) == (2, 10)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(BadInput, match="--error chooses among failed trials, and --only missing"):
        Choice.of_resume("missing", "x", None)
    with pytest.raises(BadInput, match="--attempts chooses"):
        Choice.of_resume("missing", None, 2)
    with pytest.raises(BadInput, match=r"--error \(: no regular expression"):
        Choice.of_resume(None, "(", None)
