"""From a sweep to the points of its grid, one at a time: a million points never exist at once.

Order: data set, model, seed, pruner, training, density. Neighbours then share what a cohort shares: the data set, the
model and, innermost, the scores of one-shot criteria, which serve every density.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from itertools import product

from orchestrator.errors import BadInput
from orchestrator.sources import UserCode
from orchestrator.sweep import DatasetSpec, ModelSpec, PrunerSpec, SeedSpec, Sweep, TrainingSpec
from pruning.table import CUSTOM, PRUNABLE_KINDS, PRUNERS
from training.config import (
    DatasetConfig,
    ModelConfig,
    PrunerConfig,
    Seeds,
    TrainingConfig,
    TrialConfig,
    options_text,
)


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
    pruners = list(dict.fromkeys(pruner for spec in sweep.pruner for pruner in _pruners(spec, user_code)))
    trainings = list(dict.fromkeys(_trainings(sweep.training)))
    for dataset, model, seed, pruner, training, density in product(
        datasets, models, seeds, pruners, trainings, densities
    ):
        yield TrialConfig(dataset=dataset, model=model, pruner=pruner, density=density, seeds=seed, training=training)


def _pruners(spec: PrunerSpec, user_code: UserCode) -> Iterator[PrunerConfig]:
    for name in spec.name:
        entry = PRUNERS.get(name, CUSTOM)
        axes: tuple[Iterable, ...] = (
            spec.schedule,
            spec.iterations or [entry.iterations],
            spec.scope,
            spec.mode or [entry.mode],
            spec.score_dtype or [entry.score_dtype],
            spec.prunable,
            spec.ablation,
        )
        for schedule, iterations, scope, mode, score_dtype, prunable, ablation in product(*axes):
            yield PrunerConfig(
                name=name,
                options=_options(spec),
                source_hash=user_code.content_hash(name, spec.options),
                # a list of stops has as many rounds as stops above the target, and one more to it
                iterations=len(schedule) + 1 if isinstance(schedule, list) else iterations,
                schedule=",".join(f"{Decimal(str(stop)):f}" for stop in schedule)
                if isinstance(schedule, list)
                else schedule,
                scope=scope if isinstance(scope, str) else _layer_map(scope),
                mode=mode,
                score_dtype=score_dtype,
                prunable=prunable_text(prunable),
                ablation=ablation,
            )


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


def prunable_text(kinds: Collection[str]) -> str:
    """What is prunable, in the form that a configuration holds."""
    return ",".join(kind for kind in PRUNABLE_KINDS if kind in kinds)


def _options(spec: DatasetSpec | ModelSpec | PrunerSpec) -> str:
    try:
        return options_text(spec.options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{spec.kind} {', '.join(spec.name)}: an option has no stable text form: {error}") from None
