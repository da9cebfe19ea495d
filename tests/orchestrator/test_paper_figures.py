"""Every figure of the paper from its sweep files to its table, at a scale of seconds; Ray is not in question here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ruamel.yaml import YAML

from analysis.paper.figures import write_figure
from orchestrator import paper
from orchestrator.paper import Scale, parts, scaled_sweep
from orchestrator.plan import make_plan
from orchestrator.saved_sweeps import save_sweep
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance, attempt_rows
from orchestrator.store.write import write_segment
from training.context import CohortContext
from training.trial import run_cohort

NOWHERE = Provenance(run_id="r", prunesweep_version="", torch_version="", git_commit=None, git_dirty=None)
SECONDS: dict[str, Any] = YAML(typ="safe", pure=True).load("""
figure1:  # the published network
  dataset: {name: blank, shape: [3, 32, 32], num_classes: 100}
  pruner: [random, magnitude]
  compression_exponent: [2.75, 3]
  training: {epochs: 0}
  seed: 0
figure1-random: null
figure1-grasp-sign: null
figure2:
  dataset: {name: blank, shape: [3, 32, 32], num_classes: 10}
  model: {name: vgg19, width_factor: 0.5}
  pruner: [random, magnitude, {name: synflow, iterations: 5}]
  compression_ratio: [512, 1024, 2048, 3072]
figure2-data: null
figure3: &narrow
  dataset: {name: blank, shape: [3, 32, 32], num_classes: 10}
  model: {name: vgg19, width_factor: 0.125}
figure3-data: &pictures
  dataset: digits
  model: {name: conv, depth: 5}
  pruner: {name: [snip, grasp], mode: eval, examples_per_class: 1}
figure4: *narrow
figure4-data: *pictures
figure5a:
  dataset: digits
  model: convnet
  pruner:
    - {name: imp, levels: [1, 2], rewind: none, fine_tune_epochs: 1}
    - {name: imp, levels: [1, 2], rewind: weights}
  compression_exponent: [1, 3]
  training: {epochs: 1, augment: false}
figure5b:
  dataset: digits
  model: {name: conv, depth: 5}
  pruner:
    - {name: magnitude, power: 2}
    - {name: magnitude, power: 2, pre_epochs: 5, fine_tune_epochs: 1}
  training: {epochs: 5, lr_drops: [4], augment: false}
figure6:
  dataset: digits
  model: {name: resnet18, width_factor: 0.0625}
  pruner: [magnitude, grasp, {name: synflow, iterations: 3}]
  compression_exponent: [0, 1]
  training: {epochs: 1, lr_drops: [], augment: false}
  seed: 0
figure6-tiny-imagenet: null
figure7:
  dataset: {name: blank, shape: [3, 32, 32], num_classes: 10}
  model: {name: vgg19, width_factor: 0.125}
  pruner: {name: synflow, iterations: [1, 10], schedule: [linear, exponential]}
  compression_exponent: [1, 3]
  seed: 0
""")


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    scale = {part: keys and Scale.model_validate(keys) for part, keys in SECONDS.items()}
    monkeypatch.setattr(paper, "_scales", lambda: {"seconds": scale})


def reproduced(number: str, folder: Path) -> pl.DataFrame:
    """The agreement table of a figure whose trials were all run, here and without Ray."""
    store = Store(folder)
    for file in filter(None, (scaled_sweep(part, "seconds") for part in parts(number))):
        context = CohortContext("cpu", save_unit_scores=file.sweep.save_unit_scores)
        save_sweep(file, store)
        planned = make_plan(file, store).to_run
        records = run_cohort((trial.config for trial in planned), context)
        rows = [
            attempt_rows(record, trial_id=trial.trial_id, attempt_id=f"a{place}", attempt=1, provenance=NOWHERE)
            for place, (trial, record) in enumerate(zip(planned, records, strict=True))
        ]
        assert [row["trials"][0]["error_message"] for row in rows if row["trials"][0]["status"] != "completed"] == []
        write_segment(store, file.sweep.name, rows)
    judged, paths = write_figure(number, str(folder), scale="seconds")
    assert all(Path(path).stat().st_size > 50 for path in paths)
    return judged


def by_point(judged: pl.DataFrame, column: str = "verdict") -> dict[str, Any]:
    """A column of the points that have a result of ours."""
    ours = judged.filter(pl.col("ours").is_not_null())
    return dict(zip(ours["point"], ours[column], strict=True))


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(folder / "tables" / f"{name}.csv", infer_schema_length=None)


def test_figure_1_agrees_for_magnitude_from_one_seed(tmp_path: Path) -> None:
    judged = reproduced("1", tmp_path)
    assert by_point(judged) == {
        "magnitude": "agrees",
        "random": "not comparable",
        "magnitude, first collapse": "agrees",
    }
    assert by_point(judged, "cause")["random"] == "the grid here ends at 3, published 6"
    assert by_point(judged, "ours")["magnitude"] == 2.75
    assert set(table(tmp_path, "figure1-first_empty")["depth"]) <= {8, 9, 10, 11, 12}


def test_figure_2_empties_the_smallest_layer_first_at_random_and_widest_ones_by_magnitude(tmp_path: Path) -> None:
    judged = reproduced("2", tmp_path)
    layers = table(tmp_path, "figure2-layers")
    collapsed = layers.filter((pl.col("kept") == 0).any().over("curve", "density"))
    first = collapsed.filter(pl.col("density") == pl.col("density").max().over("curve"))
    sizes = layers["num_weights"]
    dead = {curve: set(rows.filter(kept=0)["num_weights"]) for (curve,), rows in first.group_by("curve")}
    assert dead == {"random": {sizes.min()}, "magnitude": {sizes.max()}}
    said = ("random, first collapse", "magnitude, first collapse", "synflow, every compression")
    assert [by_point(judged)[name] for name in said] == ["agrees"] * 3


def test_figure_3_has_the_units_of_synflow_on_the_diagonal(tmp_path: Path) -> None:
    reproduced("3", tmp_path)
    units = table(tmp_path, "figure3-units").with_columns(ratio=pl.col("score_out") / pl.col("score_in"))
    assert units.group_by("curve", "layer").len()["len"].max() == 64  # the widest layers have more
    on_it = units.filter(curve="synflow")["ratio"]
    assert (on_it - 1).abs().max() < 1e-10
    assert units.filter(curve="random")["ratio"].max() > 2


@pytest.mark.parametrize("number", ["3", "4"])
def test_figures_3_and_4_conserve_for_synflow_alone(number: str, tmp_path: Path) -> None:
    judged = reproduced(number, tmp_path)
    ours = by_point(judged, "ours")
    assert ours.pop("synflow") < 1e-10
    assert set(ours) == {"random", "magnitude", "snip", "grasp"}
    assert min(ours.values()) > 0.1
    causes = by_point(judged, "cause")
    assert causes["synflow"] is None
    assert causes["snip"] == causes["grasp"]
    assert causes["snip"].startswith("data set digits, published imagenet; model conv")


def test_figure_5a_has_a_critical_exponent_for_each_number_of_levels(tmp_path: Path) -> None:
    judged = reproduced("5a", tmp_path)
    assert len(table(tmp_path, "figure5a-accuracy")) == 8
    assert set(by_point(judged)) == {
        f"{levels} levels, {how}" for levels in (1, 2) for how in ("not rewound, as published", "rewound")
    }


def test_figure_5b_is_drawn_before_and_after_training(tmp_path: Path) -> None:
    slopes = by_point(reproduced("5b", tmp_path), "ours")
    assert set(slopes) == {"after 0 epochs", "after 5 epochs"}
    assert slopes["after 0 epochs"] != slopes["after 5 epochs"]


def test_figure_6_has_ours_and_all_published_cells(tmp_path: Path) -> None:
    judged = reproduced("6", tmp_path)
    cells = {f"resnet18 on digits, {name}, compression exponent {power}" for name in ("magnitude", "grasp", "synflow")
             for power in (0, 1)}  # fmt: skip
    assert set(by_point(judged)) == cells
    assert judged.filter(pl.col("theirs").is_not_null()).height == 4 * 5 * 13
    assert set(judged["verdict"]) == {"not comparable"}
    causes = by_point(judged, "cause")
    none_of_theirs = "data set digits is none of the paper's: cifar10, cifar100, tiny-imagenet"
    assert causes["resnet18 on digits, magnitude, compression exponent 0"] == none_of_theirs


def test_figure_7_cuts_less_in_more_rounds_and_by_the_exponential_schedule(tmp_path: Path) -> None:
    judged = reproduced("7", tmp_path)
    name = "{} schedule, compression exponent 3, {} rounds"
    ours, seeds = by_point(judged, "ours"), by_point(judged, "seeds")
    assert set(seeds.values()) == {1}
    once = ours[name.format("linear", 1)]
    assert once == ours[name.format("exponential", 1)]
    assert once >= ours[name.format("linear", 10)] > ours[name.format("exponential", 10)]
