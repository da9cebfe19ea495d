"""`plan` and `status` call a pruner by the same words, and tell apart what a sweep file tells apart."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from orchestrator.plan import make_plan, publish_points
from orchestrator.plan_view import plan_json, show_plan
from orchestrator.status import read_status
from orchestrator.store.layout import Store
from orchestrator.sweepfile import SweepFile, parse_sweep

SWEEP = """
name: words
dataset: digits
model: mlp
pruner:
  - random
  - {name: synflow, iterations: [1, 100]}
  - {name: imp, ablation: [none, reinitialise]}
  - {name: imp, levels: 5, rewind: lr, rewind_step: 7}
  - {name: magnitude, pre_epochs: [4, 1], fine_tune_epochs: 2}
  - {name: snip, pre_epochs: 2, schedule: linear, scope: local}
  - {name: rigl, every: 10}
density: [1, 0.1]
training: {epochs: 4}
"""

STOPS = "densities 0.8, 0.64, …, 0.1074"

WORDS = [
    "random",
    "synflow",
    "synflow (100 rounds)",
    f"imp ({STOPS}; up to 11 levels of 4 epochs, weights rewound to step 0)",
    f"imp ({STOPS}; up to 11 levels of 4 epochs, weights rewound to step 0; reinitialise)",
    "imp (5 levels of 4 epochs, learning rate rewound to step 7)",
    "magnitude (after 4 epochs, fine-tuned for 2)",
    "magnitude (after 1 epoch, fine-tuned for 2)",
    "snip (linear; scope local; after 2 epochs)",
    'rigl {"every":10}',
]


def sweep(text: str, folder: Path) -> SweepFile:
    return parse_sweep(text, name="words.yaml", folder=folder)


def test_plan_and_status_list_every_pruner_in_the_order_of_the_file(tmp_path: Path) -> None:
    file, store = sweep(SWEEP, tmp_path), Store(tmp_path / "store")
    assert make_plan(file, store).axes["pruner"] == dict.fromkeys(WORDS, 2)
    publish_points(file, store)
    store.publish_text("{}", "sweeps", "x.json")
    counts = read_status(store).axes["pruner"]
    assert list(counts) == WORDS
    assert {one.trials for one in counts.values()} == {2}


def test_the_plan_says_what_training_is_shared(tmp_path: Path) -> None:
    text = SWEEP[: SWEEP.index("  - random")] + "  - {name: imp, ablation: [none, reinitialise]}\n"
    text += SWEEP[SWEEP.index("density") :].replace("[1, 0.1]", "[0.8, 0.64]")
    file, store = sweep(text, tmp_path), Store(tmp_path / "empty")
    plan = make_plan(file, store)
    line = "4 trials train before pruning: 20 epochs in all, 40 if each trained alone: what they share is trained once"
    assert plan_json(file, plan)["shared_training"] == [line]  # levels 0, 1, 2 and two reinitialised, of 4 epochs each
    stream = io.StringIO()
    show_plan(file, plan, Console(file=stream, width=200))
    assert f"  {line}\n" in stream.getvalue()


def test_of_trials_pruned_at_initialisation_the_plan_says_nothing(small_sweep: SweepFile, tmp_path: Path) -> None:
    assert plan_json(small_sweep, make_plan(small_sweep, Store(tmp_path / "empty")))["shared_training"] == []
