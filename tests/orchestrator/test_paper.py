"""The paper's sweep files: each is a sweep file, and a scale changes only what its file says it may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from analysis.paper.figures import FIGURES
from orchestrator import paper
from orchestrator.errors import BadInput
from orchestrator.expand import expand
from orchestrator.paper import (
    FULL,
    Scale,
    default_results,
    figures,
    parts,
    refuse_other_sweeps,
    scaled_sweep,
    scales,
)
from orchestrator.saved_sweeps import save_sweep
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.sweepfile import SweepFile, read_sweep_file
from training.config import LevelsConfig, PrunerConfig, TrialConfig

ROOT = Path(__file__).parents[2]
SCALES = ("full", "gpu-hour", "cpu-hours", "cpu-subset", "cpu-minutes")
ALL = [part for figure in FIGURES for part in parts(figure)]


def trials(part: str, scale: str) -> list[TrialConfig]:
    file = scaled_sweep(part, scale)
    return [] if file is None else list(expand(file.sweep, UserCode(file.folder)))


def test_every_figure_has_a_sweep_file_and_a_drawing() -> None:
    assert tuple(figures()) == FIGURES
    assert tuple(scales()) == SCALES
    assert {part for scale in paper._scales().values() for part in scale} <= set(ALL)


@pytest.mark.parametrize("part", ALL)
def test_the_published_scale_is_the_file_as_it_lies_there(part: str) -> None:
    read = read_sweep_file(ROOT / "sweeps" / "paper" / f"{part}.yaml")
    scaled = scaled_sweep(part, FULL)
    assert scaled is not None
    assert scaled.sweep == read.sweep
    assert scaled.sweep.name == f"paper-{part}"


@pytest.mark.parametrize("scale", SCALES[1:])
@pytest.mark.parametrize("part", ALL)
def test_a_scale_changes_epochs_subset_model_grid_augmentation_and_images_scored_and_nothing_else(
    part: str, scale: str
) -> None:
    found = trials(part, scale)
    assert len(found) <= len(trials(part, FULL))

    def how(config: TrialConfig) -> tuple[PrunerConfig, LevelsConfig, object]:
        """What is left of a trial without what a scale may change; of epochs, whether there are any."""
        pruner = replace(config.pruner, iterations=0, schedule="", examples_per_class=0)
        training = replace(config.training, epochs=0, lr_drops=(), lr_drop_factor=0.0, augment=False)
        levels = config.levels
        levels = replace(levels, pre_epochs=min(levels.pre_epochs, 1), fine_tune_epochs=min(levels.fine_tune_epochs, 1))
        return pruner, levels, training if config.training.epochs else None

    published = {how(config) for config in trials(part, FULL)}
    published |= {(pruner, levels, None) for pruner, levels, _ in published}  # no training at all
    assert {how(config) for config in found} <= published
    file = scaled_sweep(part, scale)
    assert file is None or file.sweep.name == f"paper-{part}-{scale}"


def test_the_published_grids() -> None:
    first = trials("figure1", FULL)
    assert {str(config.density) for config in first} >= {"1", "0.000001", "0.56234132519"}
    assert len({config.density for config in first}) == 25
    assert {config.seeds.init for config in trials("figure1-random", "cpu-hours")} == set(range(20))
    assert {config.pruner.mode for config in first} == {"eval"}
    assert {(one.epochs, one.lr, one.lr_drops, one.weight_decay) for one in {config.training for config in first}} == {
        (160, 0.1, (60, 120), 1e-4)
    }
    sizes = sorted(round(1 / config.density) for config in trials("figure2", FULL) if config.pruner.name == "synflow")
    assert sizes == [4**n for n in range(12)]
    assert {config.pruner.iterations for config in trials("figure2", FULL)} == {1, 100}
    sixth = trials("figure6", FULL)
    assert len(sixth) == 2 * 4 * 5 * 13 * 3
    recipes = {(config.model.name, config.training.lr, config.training.weight_decay) for config in sixth}
    assert recipes == {
        *((name, 0.1, 1e-4) for name in ("vgg11_bn", "vgg16_bn")),
        *((name, 0.01, 5e-4) for name in ("resnet18", "wide_resnet18")),
    }
    seventh = trials("figure7", "cpu-hours")
    assert {(config.pruner.iterations, config.pruner.schedule, str(config.density)) for config in seventh} == {
        (100, "linear", "0.001"),
        (100, "exponential", "0.001"),
    }


def test_a_scale_can_change_nothing_else() -> None:
    with pytest.raises(ValidationError, match="unknown key 'lr'"):
        Scale.model_validate({"training": {"lr": 1}})
    with pytest.raises(ValidationError, match="unknown key 'preset'"):
        Scale.model_validate({"preset": "synflow-cifar"})


def test_a_mistake_in_the_scales_names_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scales.yaml").write_text("quick: {figure1: {training: {lr: 1}}}\n")
    (tmp_path / "figure1.yaml").write_text("name: n\n")
    monkeypatch.setattr(paper, "FOLDER", tmp_path)
    paper._scales.cache_clear()
    try:
        with pytest.raises(BadInput, match=r"scales.yaml: quick.figure1.training: unknown key 'lr'"):
            scales()
        (tmp_path / "scales.yaml").write_text("quick: {figure1: {dataset: nonsense}}\n")
        with pytest.raises(BadInput, match=r"figure1.yaml at scale quick:1: dataset.*unknown data set 'nonsense'"):
            scaled_sweep("figure1", "quick")
    finally:
        paper._scales.cache_clear()


def test_unknown_figures_and_scales_are_answered_with_the_nearest() -> None:
    assert parts("Figure 5A") == parts("5a") == ["figure5a"]
    with pytest.raises(BadInput, match="figure 8: expected one of"):
        parts("8")
    with pytest.raises(BadInput, match="figure 5: expected 5a or 5b, which"):
        parts("5")
    with pytest.raises(BadInput, match=r"--scale cpu-minute: did you mean 'cpu-minutes'\?"):
        scaled_sweep("figure1", "cpu-minute")


def test_a_results_folder_of_another_scale_or_sweep_is_refused(tmp_path: Path) -> None:
    def files(scale: str) -> list[SweepFile]:
        return [file for part in parts("4") if (file := scaled_sweep(part, scale))]

    store = Store(tmp_path)
    refuse_other_sweeps(store, files("cpu-minutes"))
    for file in files("cpu-hours"):
        save_sweep(file, store)
    refuse_other_sweeps(store, files("cpu-hours"))
    both = "paper-figure4-cpu-hours, paper-figure4-data-cpu-hours"
    with pytest.raises(BadInput, match=f"holds {both}, which would be drawn and judged together.*Leave --results out"):
        refuse_other_sweeps(store, files("cpu-minutes"))


def test_results_of_scales_lie_apart() -> None:
    assert default_results("7", "full") == "results/paper-7"
    assert default_results("7", "cpu-minutes") == "results/paper-7-cpu-minutes"
