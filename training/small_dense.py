"""The baseline of a dense network with as many weights as a pruned one: the model itself, uniformly narrower.

"Small-dense" (Zhu and Gupta 2017, 1710.01878; Evci et al. 2020, 1911.11134). Every layer's channels are multiplied by
one factor, found by bisection, so that the prunable weights come as near as they can to what a mask of the trial's
density would keep. A network has no finer step than one channel, so the numbers differ a little: both are recorded, a
trial's `prunable_weights` being the full model's and its `kept_weights` the narrower network's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

from pruning.density import kept_count
from pruning.prunable import prunable_weights
from training.build import build_shapes, takes_option
from training.config import ModelConfig, TrialConfig, options_text
from training.datasets.contract import Dataset

OPTION = "width_factor"
"""The model's option that is turned."""

FACTOR_STEPS = 2**16
"""Factors tried are multiples of one 2^16th, exact in floating point: finer than one channel of any layer we know."""


@dataclass(frozen=True, kw_only=True)
class SmallDense:
    """A narrower network of a model's family."""

    model: ModelConfig
    num_weights: int
    """Its prunable weights."""
    budget: int
    """Prunable weights that a mask of the same density keeps of the full model."""
    full_sizes: Mapping[str, int]
    """Weights of each prunable tensor of the full model."""


@lru_cache(maxsize=1024)
def small_dense(
    model: ModelConfig, density: Decimal, input_shape: tuple[int, int, int], num_classes: int
) -> SmallDense:
    """The network of `model`'s family nearest to `density` in prunable weights; of two as near, the smaller.

    A pure function of its arguments that allocates no weights (seventeen networks of shapes alone). Raises ValueError
    for a model without the option, for one whose weights come from a file, and where one channel a layer is too many.
    """
    _require_scalable(model)

    def sizes(step: int) -> dict[str, int]:
        network = build_shapes(_scaled(model, step), input_shape=input_shape, num_classes=num_classes)
        return {name: weight.numel() for name, weight in prunable_weights(network).items()}

    full = sizes(FACTOR_STEPS)
    budget = kept_count(density, sum(full.values()))
    step, num_weights = _nearest(lambda step: sum(sizes(step).values()), budget, sum(full.values()), model.name)
    return SmallDense(model=_scaled(model, step), num_weights=num_weights, budget=budget, full_sizes=full)


def full_sizes(config: TrialConfig, dataset: Dataset) -> Mapping[str, int]:
    """Weights of the full model's layers where a trial trains a narrower one; empty for all other trials."""
    if not config.pruner.builds_smaller:
        return {}
    return small_dense(config.model, config.density, dataset.input_shape, dataset.num_classes).full_sizes


def _nearest(count: Callable[[int], int], budget: int, num_full: int, name: str) -> tuple[int, int]:
    """The step whose count is nearest to `budget`, and that count, by bisection: counts grow with the step."""
    if budget == num_full:
        return FACTOR_STEPS, num_full
    low, high = 1, FACTOR_STEPS
    num_low, num_high = count(low), num_full
    if num_low > budget:
        raise ValueError(
            f"small_dense: the narrowest {name}, of one channel a layer, has {num_low:,} prunable weights, more than "
            f"the {budget:,} of this density: ask for a higher density"
        )
    while high - low > 1 and num_low < num_high:
        middle = (low + high) // 2
        num_middle = count(middle)
        if num_middle <= budget:
            low, num_low = middle, num_middle
        else:
            high, num_high = middle, num_middle
    return (low, num_low) if budget - num_low <= num_high - budget else (high, num_high)


def _scaled(model: ModelConfig, step: int) -> ModelConfig:
    """`model` with its own factor, 1 unless it says otherwise, times `step` of FACTOR_STEPS; as it is at the last."""
    if step == FACTOR_STEPS:
        return model
    factor = model.kwargs.get(OPTION, 1) * step / FACTOR_STEPS
    return replace(model, options=options_text(model.kwargs | {OPTION: factor}))


def _require_scalable(model: ModelConfig) -> None:
    if not takes_option(model, OPTION):
        raise ValueError(
            f"small_dense: model {model.name} has no option {OPTION}, so no narrower network of its family can be "
            f"built: use one of ours, or give your factory an argument {OPTION}=1.0 and multiply the channels of every "
            "layer by it"
        )
    if model.kwargs.get("weights") is not None:
        raise ValueError(
            f"small_dense: the weights of {model.kwargs['weights']} fit the full {model.name} only: "
            "leave weights out for this pruner"
        )
