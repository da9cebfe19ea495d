"""A plan as people and programs read it: before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from analysis.sparsity import sparsity_texts
from orchestrator.errors import BadInput
from orchestrator.expand_pruners import prunable_text
from orchestrator.plan import Plan
from orchestrator.recipe import settings_text
from orchestrator.sharing import shared_training
from orchestrator.sources import UserCode
from orchestrator.sweepfile import SweepFile
from training.config import PrunerConfig, options_text


@dataclass(frozen=True, kw_only=True)
class BeyondMaximal:
    """Densities at which a model has fewer weights left than layers, so that some layer must be empty."""

    dataset: str
    model: str
    maximal_compression: float
    densities: list[Decimal]


def beyond_maximal(file: SweepFile, plan: Plan, data_root: str | None = None) -> list[BeyondMaximal]:
    """Where in the grid layer-collapse cannot be avoided, by any pruner. Raises BadInput for what cannot be built."""
    from training.capacity import capacity  # torch: two seconds that only this question needs

    UserCode(file.folder).make_importable()
    found = []
    choices = dict.fromkeys(prunable_text(kinds) for spec in file.sweep.pruner for kinds in spec.prunable)
    for (dataset, model), prunable in product(plan.networks, choices):
        try:
            limits = capacity(dataset, model, data_root=data_root, prunable=prunable)
        except Exception as error:  # whatever a user's code or options raise, every trial would raise too
            raise BadInput(
                f"model {model.name} {model.options} on {dataset.name} {dataset.options} cannot be built: "
                f"{type(error).__name__}: {error}"
            ) from None
        densities = [density for density in file.sweep.densities if limits.is_beyond(density)]
        if densities:
            found.append(
                BeyondMaximal(
                    dataset=dataset.name,
                    model=model.name,
                    maximal_compression=limits.maximal_compression,
                    densities=densities,
                )
            )
    return found


def require_sound_pruners(file: SweepFile) -> None:
    """Construct every pruner of the sweep, as each of its trials would. Raises BadInput for options that it refuses."""
    from training.build import build_criterion  # torch

    UserCode(file.folder).make_importable()
    for spec in file.sweep.pruner:
        for name in spec.name:
            config = PrunerConfig(name=name, options=options_text(spec.options))
            if config.builds_smaller:
                continue
            try:
                build_criterion(config)
            except Exception as error:  # whatever a user's class raises, every trial would raise too
                raise BadInput(f"pruner {name} {config.options}: {type(error).__name__}: {error}") from None


def preset_lines(file: SweepFile) -> list[str]:
    """What of the sweep comes from its preset, in sentences; none without a preset."""
    sweep, preset = file.sweep, file.sweep.published
    if preset is None:
        return []
    lines = [f"preset {sweep.preset}: {preset.source}"]
    used: dict[str, list[str]] = {}
    for model in sweep.model_names:
        recipe, published = sweep.recipe(model).given, preset.training_of(model)
        taken = {key: value for key, value in published.items() if key in recipe and key not in sweep.training.given}
        used.setdefault(settings_text(taken), []).append(model)
    lines += [f"{', '.join(models)}: {text}" for text, models in used.items() if text]
    if preset.pruners_text:
        lines.append(f"pruners, where the file says nothing else: {preset.pruners_text}")
    if any(spec.validation is None for spec in sweep.dataset):
        lines.append(f"validation: {preset.validation}")
    if sweep.training.given:
        lines.append(f"written in the file: {settings_text(sweep.training.given)}")
    names = dict.fromkeys(name for spec in sweep.dataset for name in spec.name)
    others = [name for name in names if name not in preset.datasets]
    if others:
        lines.append(f"note: published for {', '.join(preset.datasets)}, used here on {', '.join(others)}")
    if preset.deviations:
        lines.append(f"deviations from the publication: {preset.deviations.strip()}")
    return lines


def sharing_lines(plan: Plan) -> list[str]:
    """What training the trials to run share, in a sentence; none where all are pruned at initialisation."""
    if not any(trial.config.levels.pre_epochs for trial in plan.to_run):
        return []
    found = shared_training(plan.to_run)
    trials = "1 trial trains" if found.trials == 1 else f"{found.trials:,} trials train"
    line = f"{trials} before pruning: {found.epochs:,} epochs in all"
    saved = f", {found.epochs_alone:,} if each trained alone: what they share is trained once"
    return [line + (saved if found.epochs_alone > found.epochs else "")]


def plan_json(file: SweepFile, plan: Plan, data_root: str | None = None) -> dict[str, Any]:
    """The plan as JSON-ready values."""
    return {
        "sweep": file.sweep.name,
        "preset": preset_lines(file),
        "points": plan.num_points,
        "trials": plan.num_trials,
        "completed": plan.num_completed,
        "failed": plan.num_failed,
        "to_run": len(plan.to_run),
        "folded": dict(plan.folded),
        "shared_training": sharing_lines(plan),
        "axes": {axis: dict(values) for axis, values in plan.axes.items()},
        "beyond_maximal_compression": [
            {
                "dataset": one.dataset,
                "model": one.model,
                "maximal_compression": one.maximal_compression,
                "densities": [float(density) for density in one.densities],
            }
            for one in beyond_maximal(file, plan, data_root)
        ],
    }


def show_plan(file: SweepFile, plan: Plan, console: Console, data_root: str | None = None) -> None:
    """Print the plan."""
    console.print(
        f"[bold]{escape(file.sweep.name)}[/]: {plan.num_points:,} points of the grid are {plan.num_trials:,} trials: "
        f"{plan.num_completed:,} done, {plan.num_failed:,} failed, [bold]{len(plan.to_run):,} to run[/]",
        highlight=False,
    )
    for line in preset_lines(file):
        console.print(Padding(line, (0, 0, 0, 2)), highlight=False, markup=False)
    for reason, count in plan.folded.items():
        console.print(f"  {count:,} points share another's trial ({reason})", highlight=False, markup=False)
    for line in sharing_lines(plan):
        console.print(f"  {line}", highlight=False, markup=False)
    table = Table("axis", "values (points)", box=None, header_style="dim")
    for axis, values in plan.axes.items():
        if axis == "density":
            texts = sparsity_texts(float(value) for value in values)
            shown = [f"{texts[float(value)]} ({count:,})" for value, count in values.items()]
            table.add_row("sparsity", ", ".join(shown))
        else:
            between = (
                "\n" if any(", " in value for value in values) else ", "
            )  # what holds commas has a line of its own
            table.add_row(axis, escape(between.join(f"{value} ({count:,})" for value, count in values.items())))
    console.print(table)
    for one in beyond_maximal(file, plan, data_root):
        beyond = ", ".join(sparsity_texts(float(density) for density in one.densities).values())
        console.print(
            f"[yellow]beyond maximal compression[/] of {escape(one.model)} on {escape(one.dataset)} "
            f"({one.maximal_compression:,.0f}x): {beyond}: fewer weights than layers, so some layer must be empty",
            highlight=False,
        )
