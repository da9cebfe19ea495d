"""Rewound tickets against the same masks with weights drawn anew: the lottery ticket, as a sweep of the product.

    python -m benchmarks.lottery_ticket [--root ../shared/data] [--results DIR] [--figure FILE] [--json] [--quick]

Runs `sweeps/lottery-ticket.yaml`: LeNet-300-100 on Fashion-MNIST (docs/datasets.md says where its files are expected),
pruned by iterative magnitude pruning and rewound to step 0; its masks with reinitialised weights; magnitude at
initialisation. About 20 minutes on one core. What the results folder holds is not run again, so an interrupted run is
continued by the same command. Accuracies are of the last epoch, differences are of pairs that share seed and mask.
Exits with 1 where the interval of the difference at the highest sparsity does not lie above zero.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import torch
import vl_convert

from analysis import accuracy
from analysis.report.section import VEGALITE
from analysis.scan import scan
from analysis.sparsity import sparsity_texts
from orchestrator.cohort import Cohort, CohortRunner, RunSettings, publish_run
from orchestrator.plan import make_plan
from orchestrator.saved_sweeps import save_sweep
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance
from orchestrator.sweepfile import SweepFile, parse_sweep, read_sweep_file

SWEEP = Path(__file__).parents[1] / "sweeps" / "lottery-ticket.yaml"
QUICK = """
name: lottery-ticket
dataset: digits
model: lenet_300_100
pruner: [{name: imp, ablation: [none, reinitialise]}, magnitude]
density: [1, 0.64, 0.4096]
seed: {count: 2}
training: {epochs: 2, optimizer: adam, lr: 1.2e-3, batch_size: 60}
"""
LINES = {"rewound": ("imp", "none"), "reinitialised": ("imp", "reinitialise"), "magnitude": ("magnitude", "none")}
"""Each line of the table: pruner and ablation."""


def run(file: SweepFile, store: Store, data_root: str) -> None:
    """Run what the store lacks, in this process and on one thread: one cohort, so that all training is shared."""
    torch.set_num_threads(1)
    left = make_plan(file, store).to_run
    save_sweep(file, store)
    if not left:
        return
    run_id = f"benchmark-{uuid.uuid4().hex[:8]}"
    provenance = Provenance(
        run_id=run_id,
        prunesweep_version=version("prunesweep"),
        torch_version=torch.__version__,
        git_commit=None,
        git_dirty=None,
    )
    settings = RunSettings(provenance=provenance, user_folder=str(file.folder), device="cpu", data_root=data_root)
    publish_run(store, settings, left)
    cohort = Cohort(location=store.location, run_id=run_id, number=0, start=0, stop=len(left))
    runner = CohortRunner(cohort, node_id="here", is_node_alive=lambda node_id: True)
    done, finished = 0, False
    while not finished:
        progress = runner.step()
        done, finished = done + progress.completed + progress.failed, progress.finished
        sys.stderr.write(f"\r{done} of {len(left)} trials")
    sys.stderr.write("\n")
    store.remove_folder("runs", run_id)


def compare(results: pl.DataFrame) -> list[dict[str, Any]]:
    """A row a density, dense first: mean and 95 % interval of each line, and of rewound minus reinitialised by seed.

    Intervals are Student's t; `n` counts the pairs. Trials without an accuracy (failed, diverged) are in no row's n.
    """
    usable = results.filter(pl.col("outcome") == "completed")
    rows = []
    for density in sorted(set(results["density"]), reverse=True):
        row: dict[str, Any] = {"density": density}
        by_seed: dict[str, dict[int, float]] = {}
        for line, (pruner, ablation) in LINES.items():
            mine = usable.filter(density=density, pruner=pruner, ablation=ablation)
            by_seed[line] = dict(mine.select("seed_init", "final_test_accuracy").iter_rows())
            row[line] = summary(list(by_seed[line].values()))
        rewound, anew = by_seed["rewound"], by_seed["reinitialised"]
        row["difference"] = summary([rewound[seed] - anew[seed] for seed in sorted(rewound.keys() & anew.keys())])
        row["n"] = len(rewound.keys() & anew.keys())
        rows.append(row)
    return rows


def summary(values: list[float]) -> dict[str, float | None]:
    """Mean and half the width of its 95 % interval; None where there are too few values.

    >>> {name: round(value, 4) for name, value in summary([0.5, 0.6]).items()}
    {'mean': 0.55, 'half_width': 0.6353}
    """
    column = pl.Series("value", values, dtype=pl.Float64)
    moments = pl.DataFrame({"mean": [column.mean()], "deviation": [column.std()], "n": [len(column)]})
    width = accuracy.half_width(pl.col("deviation"), pl.col("n"))
    return moments.select("mean", half_width=width).row(0, named=True)


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table; percentages."""
    lines = [
        "| sparsity | rewound | reinitialised | magnitude at initialisation | rewound − reinitialised | n |",
        "|---|---|---|---|---|---|",
    ]
    texts = sparsity_texts(row["density"] for row in rows)
    for row in rows:
        cells = [_cell(row[line]) for line in (*LINES, "difference")]
        lines.append(f"| {texts[row['density']]} | {' | '.join(cells)} | {row['n']} |")
    return "\n".join(lines)


def _cell(one: dict[str, float | None]) -> str:
    mean, half_width = one["mean"], one["half_width"]
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" + ("" if half_width is None else f" ± {100 * half_width:.1f}")


def draw(results: pl.LazyFrame, path: Path) -> None:
    """The product's own figure of accuracy against sparsity, from a round number below the lowest run."""
    table = accuracy.table(results).collect()
    lowest = max(0.0, math.floor(20 * min(table["min_accuracy"].drop_nulls()) - 0.2) / 20)
    figure = accuracy.plot(table, lowest=lowest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vl_convert.vegalite_to_png(figure.to_dict(), vl_version=VEGALITE, scale=2))


def main() -> None:
    """Run, print the table (or JSON), write the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--results", help="default: results/lottery-ticket; a temporary folder with --quick")
    parser.add_argument("--figure", type=Path, help="default: lottery-ticket.png in the results folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="digits, two epochs, two levels: only that it runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        file = parse_sweep(QUICK, name="--quick", folder=Path.cwd()) if arguments.quick else read_sweep_file(SWEEP)
        location = Path(arguments.results or (temporary if arguments.quick else f"results/{file.sweep.name}"))
        run(file, Store(location), str(arguments.root.resolve()))
        results = scan(location).results
        rows = compare(results.collect())
        draw(results, arguments.figure or location / "lottery-ticket.png")
    sys.stdout.write((json.dumps(rows, indent=2) if arguments.json else markdown(rows)) + "\n")
    sparsest = rows[-1]["difference"]
    if not arguments.quick and not (sparsest["half_width"] and sparsest["mean"] > sparsest["half_width"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
