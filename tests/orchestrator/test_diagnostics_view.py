"""A trial's layers and rounds as people see them, from literal rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.diagnostics_view import show_diagnostics, telling
from orchestrator.store.layout import Store
from orchestrator.store.write import write_segment

KEY = {"trial_id": "t", "attempt_id": "a"}


def layer(name: str, position: int, kept: int, **columns: Any) -> dict[str, Any]:
    return KEY | {"layer": name, "position": position, "num_weights": 100, "kept": kept, "live": kept} | columns


def done(number: int, cut: float, flow: float, collapsed: int | None = 0) -> dict[str, Any]:
    row = {"round": number, "density": 0.5, "kept": 50, "score_cut": cut, "flow": flow}
    return KEY | row | {"layer_deviation": 0.25, "collapsed_layers": collapsed}


def shown(store: Store) -> list[str]:
    stream = io.StringIO()
    show_diagnostics(store, "t", Console(file=stream, width=160))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines() if line]


def test_layers_and_rounds_are_shown(tmp_path: Path) -> None:
    store = Store(tmp_path)
    scores = {"initial_score_sum": 50.0, "score_sum": 20.0, "unit_conservation_error": 1.5e-12}
    attempt = {
        "trials": [KEY | {"status": "completed", "attempt": 1}],
        "layers": [layer("out[put]", 1, 0, initial_score_sum=40.0, score_sum=0.0), layer("in", 0, 10, **scores)],
        "rounds": [done(1, 9.0, 45.0), done(2, 8.0, 5.0, collapsed=1)],
    }
    write_segment(store, "s1", [attempt])
    heading, first, second, rounds, *rest = shown(store)
    assert heading == "layer weights kept live density first score its mean last score in = out"
    assert first == "in 100 10 10 0.1 50 0.5 20 1.5e-12"
    assert second == "out[put] 100 none 0 0 40 0.4 0 –"
    assert rounds == "round density kept cut R cut / R deviation collapsed layers"
    assert rest[:3] == [
        "1 of 2 0.5 50 9 45 0.2 0.25 0",
        "2 of 2 0.5 50 8 5 1.6 0.25 1",
        "maximal compression 100: weights / layers, where one weight a layer is left",
    ]


def test_rows_of_an_older_store_are_shown_with_dashes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = done(1, 0.0, 0.0, collapsed=None) | {"layer_deviation": None}
    trials = [KEY | {"status": "completed", "attempt": 1}]
    write_segment(store, "s1", [{"trials": trials, "layers": [layer("in", 0, 10, score_sum=2.0)], "rounds": [old]}])
    _, row, _, only, *_ = shown(store)
    assert row == "in 100 10 10 0.1 – – 2 –"
    assert only == "1 of 1 0.5 50 0 0 – – –"


def test_a_trial_without_layers_shows_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [{"trials": [KEY | {"status": "failed", "attempt": 1}]}])
    assert shown(store) == []


def test_of_many_rounds_those_are_told_that_matter() -> None:
    rounds = [done(number, 1.0, 10.0, collapsed=int(number >= 70)) for number in range(1, 101)]
    rounds[39]["score_cut"] = 8.0
    assert [row["round"] for row in telling(rounds)] == [1, 40, 70, 100]
    assert [row["round"] for row in telling(rounds[:1])] == [1]
