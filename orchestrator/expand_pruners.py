"""A pruner of a sweep file, expanded along its own axes: how it is applied, and when the network is trained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.presets import Preset
from orchestrator.sources import UserCode
from orchestrator.sweep import PrunerSpec
from pruning.density import canonical_density
from pruning.table import ALL_PRUNERS, CUSTOM, PRUNABLE_KINDS
from training.config import LevelsConfig, PrunerConfig, TrainingConfig, options_text
from training.levels import check_levels

IMP_CUT = 0.2
"""Fraction of the weights left that each level of iterative magnitude pruning removes (Frankle and Carbin 2019)."""


@dataclass(frozen=True, kw_only=True)
class AskedPruner:
    """A pruner as a sweep file asks for it, before it meets a recipe."""

    pruner: PrunerConfig
    levels: LevelsConfig
    pre_epochs: int | None
    """None: as many as the recipe has."""


def expand_pruners(
    spec: PrunerSpec, options: str, user_code: UserCode, preset: Preset | None, *, smallest: Decimal
) -> Iterator[AskedPruner]:
    """Every combination of a pruner's axes. `smallest` is the sweep's smallest density: no stop lies below it."""
    for name in spec.name:
        entry = ALL_PRUNERS.get(name, CUSTOM)

        def default(key: str, of_pruner: Any, name: str = name) -> list[Any]:
            return [preset.of_pruner(name, key, of_pruner) if preset else of_pruner]

        how: tuple[Iterable, ...] = (
            spec.schedule or [{"cut": IMP_CUT} if entry.trains_first and spec.levels is None else "exponential"],
            spec.iterations or default("iterations", entry.iterations),
            spec.scope,
            spec.mode or default("mode", entry.mode),
            spec.score_dtype or default("score_dtype", entry.score_dtype),
            spec.prunable,
            spec.ablation,
            spec.examples_per_class or default("examples_per_class", 10),
        )
        when: tuple[Iterable, ...] = (
            spec.pre_epochs or [None if entry.trains_first else 0],
            spec.levels or [1],
            spec.rewind or ["weights" if entry.trains_first else "none"],
            spec.rewind_step,
            spec.fine_tune_epochs,
        )
        for applied, (pre_epochs, num_levels, rewind, rewind_step, fine_tune_epochs) in product(
            product(*how), product(*when)
        ):
            schedule, iterations, scope, mode, score_dtype, prunable, ablation, examples_per_class = applied
            stops = None if isinstance(schedule, str) else _stops(schedule, smallest)
            # a list of stops has as many rounds (or levels, where the network is trained in between) as stops above
            # the target, and one more to it
            trains_between = pre_epochs != 0
            pruner = PrunerConfig(
                name=name,
                options=options,
                source_hash=user_code.content_hash(name, spec.options),
                iterations=iterations if stops is None or trains_between else len(stops) + 1,
                schedule=schedule if stops is None else ",".join(f"{stop:f}" for stop in stops) or "exponential",
                scope=scope if isinstance(scope, str) else _layer_map(scope),
                mode=mode,
                score_dtype=score_dtype,
                prunable=prunable_text(prunable),
                ablation=ablation,
                examples_per_class=examples_per_class,
            )
            levels = LevelsConfig(
                levels=num_levels if stops is None or not trains_between else len(stops) + 1,
                rewind=rewind,
                rewind_step=rewind_step,
                fine_tune_epochs=fine_tune_epochs,
            )
            yield AskedPruner(pruner=pruner, levels=levels, pre_epochs=pre_epochs)


def prunable_text(kinds: Collection[str]) -> str:
    """What is prunable, in the form that a configuration holds."""
    return ",".join(kind for kind in PRUNABLE_KINDS if kind in kinds)


def levels_under(recipe: TrainingConfig, asked: AskedPruner) -> LevelsConfig:
    """The levels of a pruner under a recipe. Raises BadInput where they contradict it."""
    levels = replace(asked.levels, pre_epochs=recipe.epochs if asked.pre_epochs is None else asked.pre_epochs)
    try:
        check_levels(levels, recipe.epochs)
    except ValueError as error:
        raise BadInput(f"pruner {asked.pruner.name}: {error}") from None
    return levels


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


def _layer_map(densities: dict[str, float]) -> str:
    return options_text({layer: f"{Decimal(str(share)).normalize():f}" for layer, share in densities.items()})
