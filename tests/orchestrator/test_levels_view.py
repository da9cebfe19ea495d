"""The levels of a trial as people see them, from literal rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from orchestrator.levels_view import by_level, show_levels
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_children, scan_points, scan_trials
from orchestrator.store.write import write_segment

TRIAL = {"trial_id": "t", "attempt_id": "a", "attempt": 1, "status": "completed"}


def epoch(level: int, number: int, accuracy: float, trial: str = "t") -> dict[str, Any]:
    key = {"trial_id": trial, "attempt_id": "a"}
    return key | {"level": level, "epoch": number, "test_accuracy": accuracy}


REWOUND = [
    epoch(1, 2, 0.75),  # rows of a table have no order
    epoch(0, 1, 0.9), epoch(0, 2, 0.8),
    epoch(1, 1, 0.75),
    epoch(2, 1, 0.5), epoch(2, 2, 0.7),
]  # fmt: skip


def shown(store: Store) -> list[str]:
    stream = io.StringIO()
    show_levels(store, scan_trials(store).collect().row(0, named=True), Console(file=stream, width=160))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines() if line]


def test_each_level_has_a_line_with_its_density_and_its_own_best_epoch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    config = {"density_literal": "0.5", "schedule": "0.8", "levels": 2, "pre_epochs": 2, "rewind": "weights"}
    write_segment(store, "s1", [{"trials": [TRIAL | config], "epochs": REWOUND}])
    heading, *rows, note = shown(store)
    assert heading == "level density epochs final best at epoch"
    assert rows == ["0 1 1 to 2 0.8000 0.9000 1", "1 0.8 1 to 2 0.7500 0.7500 1", "2 0.5 1 to 2 0.7000 0.7000 2"]
    assert note.startswith("level: prunings that lie behind")


def test_training_that_goes_on_after_a_pruning_keeps_its_count_of_epochs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    config = {"density_literal": "0.1", "schedule": "exponential", "levels": 1, "pre_epochs": 1}
    write_segment(store, "s1", [{"trials": [TRIAL | config], "epochs": [epoch(0, 1, 0.5), epoch(1, 2, 0.6)]}])
    assert shown(store)[1:3] == ["0 1 1 to 1 0.5000 0.5000 1", "1 0.1 2 to 2 0.6000 0.6000 2"]


def test_a_trial_pruned_at_initialisation_has_one_level_and_shows_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    config = {"density_literal": "0.1", "schedule": "exponential", "levels": 1, "pre_epochs": 0}
    write_segment(store, "s1", [{"trials": [TRIAL | config], "epochs": [epoch(1, 1, 0.5), epoch(1, 2, 0.6)]}])
    assert shown(store) == []


def test_levels_are_never_mixed_among_trials() -> None:
    rows = pl.LazyFrame([*REWOUND, epoch(1, 1, 0.3, trial="u")])
    table = by_level(rows).select("trial_id", "level", "final_test_accuracy", "best_test_accuracy").collect()
    assert table.rows() == [("t", 0, 0.8, 0.9), ("t", 1, 0.75, 0.75), ("t", 2, 0.7, 0.7), ("u", 1, 0.3, 0.3)]


def test_a_store_of_before_levels_reads_as_pruned_once_at_initialisation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old: dict[str, dict[str, list[Any]]] = {
        "trials": {
            "trial_id": ["t"], "attempt_id": ["a"], "attempt": [1], "status": ["completed"],
            "density_literal": ["0.1"], "schedule": ["exponential"],
        },
        "epochs": {"trial_id": ["t"], "attempt_id": ["a"], "epoch": [1], "test_accuracy": [0.5]},
        "points": {"sweep": ["s"], "trial_id": ["t"], "pruner": ["snip"]},
    }  # fmt: skip
    for table, columns in old.items():
        (tmp_path / table).mkdir()
        pl.DataFrame(columns).write_parquet(tmp_path / table / "s0.parquet")
    assert scan_children(store, "epochs").select("level").collect().item() == 1
    for rows in (scan_trials(store), scan_points(store)):
        settings = ["pre_epochs", "levels", "rewind", "rewind_step", "fine_tune_epochs"]
        assert rows.select(settings).collect().row(0) == (0, 1, "none", 0, 0)
    assert shown(store) == []
