"""From a sweep to the points of its grid, lazily: a million points never exist at once as objects (`grid.py`).

Order: data set, model, seed, pruner, training, density. Neighbours then share what a cohort shares: the data set, the
model and, innermost, the scores of one-shot criteria, which serve every density.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from itertools import product

from orchestrator.errors import BadInput
from orchestrator.expand_pruners import expand_pruners, levels_under
from orchestrator.presets import Preset
from orchestrator.recipe import TrainingSpec
from orchestrator.sources import UserCode
from orchestrator.sweep import DatasetSpec, ModelSpec, PrunerSpec, SeedSpec, Sweep
from training.config import (
    OWN_VALIDATION,
    DatasetConfig,
    LevelsConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
    options_text,
)
from training.datasets.table import DATASETS


@dataclass(frozen=True, kw_only=True)
class Block:
    """The points of one data set and model: every seed with every pruner and recipe at every density, in this order."""

    dataset: DatasetConfig
    model: ModelConfig
    seeds: Sequence[Seeds]
    recipes: Sequence[tuple[PrunerConfig, TrainingConfig, LevelsConfig]]
    densities: Sequence[Decimal]


def expand(sweep: Sweep, user_code: UserCode) -> Iterator[TrialConfig]:
    """Every point of the grid as asked for, before folding. Raises BadInput for code that cannot be found."""
    for block in blocks(sweep, user_code):
        for seed, (pruner, training, levels), density in product(block.seeds, block.recipes, block.densities):
            yield TrialConfig(
                dataset=block.dataset,
                model=block.model,
                pruner=pruner,
                density=density,
                seeds=seed,
                training=training,
                levels=levels,
            )


def blocks(sweep: Sweep, user_code: UserCode) -> Iterator[Block]:
    """The grid, a data set and model at a time. Raises BadInput for code that cannot be found."""
    densities = sweep.densities
    datasets = [
        DatasetConfig(
            name=name,
            options=_options(spec),
            source_hash=user_code.content_hash(name, spec.options),
            validation=validation,
        )
        for spec in sweep.dataset
        for name in spec.name
        for validation in _validations(spec, name, sweep.published)
    ]
    models = [
        ModelConfig(name=name, options=_options(spec), source_hash=user_code.content_hash(name, spec.options))
        for spec in sweep.model
        for name in spec.name
    ]
    seeds = list(_seeds(sweep.seed))
    pruners = list(
        dict.fromkeys(
            pruner
            for spec in sweep.pruner
            for pruner in expand_pruners(spec, _options(spec), user_code, sweep.published, smallest=min(densities))
        )
    )
    for dataset, model in product(datasets, models):
        trainings = list(dict.fromkeys(trainings_of(sweep.recipe(model.name))))
        recipes = [(asked.pruner, recipe, levels_under(recipe, asked)) for asked, recipe in product(pruners, trainings)]
        yield Block(dataset=dataset, model=model, seeds=seeds, recipes=recipes, densities=densities)


def _validations(spec: DatasetSpec, name: str, preset: Preset | None) -> list[str]:
    """Canonical texts of what is held out; "own" is "0" for a data set without a validation split of its own."""
    if spec.validation is None:
        texts = [preset.validation if preset else OWN_VALIDATION]
    else:
        texts = [one if isinstance(one, str) else f"{Decimal(str(one)):f}" for one in spec.validation]
    entry = DATASETS.get(name)
    has_own = entry is None or entry.num_validation > 0 or "num_validation" in entry.options
    return list(dict.fromkeys("0" if text == OWN_VALIDATION and not has_own else text for text in texts))


def trainings_of(recipe: TrainingSpec) -> Iterator[TrainingConfig]:
    """Every combination of a recipe's axes, each as the configuration that stands for all that train alike."""
    names = [name for name in TrainingSpec.model_fields if name not in ("lr", "lr_drops")]
    for values in product(*(getattr(recipe, name) for name in names)):
        options = dict(zip(names, values, strict=True))
        for lr in recipe.lr or [DEFAULT_LR[options["optimizer"]]]:
            floats = {name: float(value) for name, value in options.items() if name in FLOATS}
            config = TrainingConfig(**options | floats, lr=float(lr), lr_drops=tuple(recipe.lr_drops))
            yield config.folded()


DEFAULT_LR = {"sgd": 0.1, "momentum": 0.1, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
FLOATS = {field.name for field in fields(TrainingConfig) if isinstance(field.default, float)}
"""A whole number is a float here, so that 1 and 1.0 are one trial."""


def _seeds(spec: SeedSpec) -> Iterator[Seeds]:
    if spec.init or spec.data or spec.prune:
        for init, data, prune in product(spec.init or [0], spec.data or [0], spec.prune or [0]):
            yield Seeds(init=init, data=data, prune=prune)
        return
    for seed in spec.values or range(spec.count or 1):
        yield Seeds(init=seed, data=seed, prune=seed)


def _options(spec: DatasetSpec | ModelSpec | PrunerSpec) -> str:
    try:
        return options_text(spec.options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{spec.kind} {', '.join(spec.name)}: an option has no stable text form: {error}") from None
