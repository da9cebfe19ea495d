"""From a sweep to the points of its grid, one at a time: a million points never exist at once.

Order: data set, model, seed, pruner, training, density. Neighbours then share what a cohort shares: the data set, the
model and, innermost, the scores of one-shot criteria, which serve every density.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product

from orchestrator.errors import BadInput
from orchestrator.sources import UserCode
from orchestrator.sweep import DatasetSpec, ModelSpec, PrunerSpec, SeedSpec, Sweep, TrainingSpec
from pruning.density import canonical_density
from pruning.table import ALL_PRUNERS, CUSTOM
from training.config import (
    DatasetConfig,
    LevelsConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
    options_text,
)
from training.levels import check_levels

IMP_CUT = 0.2
"""Fraction of the weights left that each level of iterative magnitude pruning removes (Frankle and Carbin 2019)."""


def expand(sweep: Sweep, user_code: UserCode) -> Iterator[TrialConfig]:
    """Every point of the grid as asked for, before folding. Raises BadInput for code that cannot be found."""
    densities = sweep.densities
    datasets = [
        DatasetConfig(name=name, options=_options(spec), source_hash=user_code.content_hash(name, spec.options))
        for spec in sweep.dataset
        for name in spec.name
    ]
    models = [
        ModelConfig(name=name, options=_options(spec), source_hash=user_code.content_hash(name, spec.options))
        for spec in sweep.model
        for name in spec.name
    ]
    seeds = list(_seeds(sweep.seed))
    pruners = list(
        dict.fromkeys(one for spec in sweep.pruner for one in _pruners(spec, user_code, smallest=min(densities)))
    )
    trainings = list(dict.fromkeys(_trainings(sweep.training)))
    trained = [
        (pruner.config, training, _levels(pruner, training)) for pruner, training in product(pruners, trainings)
    ]
    for dataset, model, seed, (pruner, training, levels), density in product(
        datasets, models, seeds, trained, densities
    ):
        yield TrialConfig(
            dataset=dataset,
            model=model,
            pruner=pruner,
            density=density,
            seeds=seed,
            training=training,
            levels=levels,
        )


@dataclass(frozen=True, kw_only=True)
class _Pruner:
    """A pruner as asked for, before it meets a recipe."""

    config: PrunerConfig
    levels: LevelsConfig
    pre_epochs: int | None
    """None: as many as the recipe has."""


def _pruners(spec: PrunerSpec, user_code: UserCode, smallest: Decimal) -> Iterator[_Pruner]:
    for name in spec.name:
        entry = ALL_PRUNERS.get(name, CUSTOM)
        default_schedule = {"cut": IMP_CUT} if entry.trains_first and spec.levels is None else "exponential"
        how: tuple[Iterable, ...] = (
            spec.schedule or [default_schedule],
            spec.iterations or [entry.iterations],
            spec.scope,
            spec.mode or [entry.mode],
            spec.score_dtype or [entry.score_dtype],
            spec.ablation,
        )
        when: tuple[Iterable, ...] = (
            spec.pre_epochs or [None if entry.trains_first else 0],
            spec.levels or [1],
            spec.rewind or ["weights" if entry.trains_first else "none"],
            spec.rewind_step,
            spec.fine_tune_epochs,
        )
        for (schedule, iterations, scope, mode, score_dtype, ablation), (pre_epochs, *rest) in product(
            product(*how), product(*when)
        ):
            num_levels, rewind, rewind_step, fine_tune_epochs = rest
            stops = None if isinstance(schedule, str) else _stops(schedule, smallest)
            # a list of stops has as many rounds (or levels, where the network is trained in between) as stops above
            # the target, and one more to it
            if stops is not None and pre_epochs != 0:
                num_levels = len(stops) + 1
            elif stops is not None:
                iterations = len(stops) + 1
            config = PrunerConfig(
                name=name,
                options=_options(spec),
                source_hash=user_code.content_hash(name, spec.options),
                iterations=iterations,
                schedule=schedule if stops is None else ",".join(f"{stop:f}" for stop in stops) or "exponential",
                scope=scope if isinstance(scope, str) else _layer_map(scope),
                mode=mode,
                score_dtype=score_dtype,
                ablation=ablation,
            )
            levels = LevelsConfig(
                levels=num_levels, rewind=rewind, rewind_step=rewind_step, fine_tune_epochs=fine_tune_epochs
            )
            yield _Pruner(config=config, levels=levels, pre_epochs=pre_epochs)


def _stops(schedule: list[float] | dict[str, float], smallest: Decimal) -> list[Decimal]:
    """The densities to stop at: as listed, or those that cutting a fraction again and again gives above `smallest`."""
    if isinstance(schedule, list):
        return [Decimal(str(stop)) for stop in schedule]
    kept = 1 - Decimal(str(schedule["cut"]))
    stops: list[Decimal] = []
    density = canonical_density("density", kept)
    while density > smallest:
        stops.append(density)
        density = canonical_density("density", density * kept)
    return stops


def _levels(pruner: _Pruner, training: TrainingConfig) -> LevelsConfig:
    """The levels of a pruner under a recipe. Raises BadInput where they contradict it."""
    levels = replace(pruner.levels, pre_epochs=training.epochs if pruner.pre_epochs is None else pruner.pre_epochs)
    try:
        check_levels(levels, training.epochs)
    except ValueError as error:
        raise BadInput(f"pruner {pruner.config.name}: {error}") from None
    return levels


def _layer_map(densities: dict[str, float]) -> str:
    return options_text({layer: f"{Decimal(str(share)).normalize():f}" for layer, share in densities.items()})


def _trainings(spec: TrainingSpec) -> Iterator[TrainingConfig]:
    drops = tuple(sorted(spec.lr_drops))
    for epochs, optimizer, lr, momentum, weight_decay, batch_size, factor in product(
        spec.epochs,
        spec.optimizer,
        spec.lr,
        spec.momentum or [0.9],
        spec.weight_decay,
        spec.batch_size,
        spec.lr_drop_factor if drops else [0.1],
    ):
        yield TrainingConfig(
            epochs=epochs,
            optimizer=optimizer,
            lr=float(lr),
            momentum=momentum if optimizer == "momentum" else 0.0,
            weight_decay=float(weight_decay),
            batch_size=batch_size,
            lr_drops=drops,
            lr_drop_factor=factor,
        )


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
