"""Score a network without touching it.

A criterion is handed a private, masked copy in the scoring mode and dtype, so weights, gradients, buffers, mode and
random state of the real network cannot change: BatchNorm statistics corrupted by train-mode scoring, the commonest
bug of this kind, are impossible here. What comes back is checked before anything is pruned by it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import torch
from torch import nn

from pruning.criteria.contract import Criterion, PrunesAtOnce, PruneSet, is_monotone
from pruning.masked import apply_mask
from pruning.masks import Masks, Scores, all_kept
from pruning.prunable import prunable_weights
from pruning.prune import Pruned


def score_network(
    model: nn.Module,
    masks: Masks,
    criterion: Criterion,
    data: PruneSet,
    generator: torch.Generator,
    *,
    mode: str = "eval",
    dtype: torch.dtype = torch.float64,
) -> Scores:
    """Scores of every prunable weight of `model` under `masks`, in `dtype`, on the model's device.

    `mode` is "eval" or "train": whether BatchNorm normalises with its running or with the batch's statistics.
    Raises ValueError naming the layer where a score is missing, misshapen or not finite.
    """
    if mode not in ("eval", "train"):
        raise ValueError(f"mode {mode!r}: expected 'eval' or 'train'")
    private = copy.deepcopy(model).to(dtype).train(mode == "train")
    originals = prunable_weights(model)
    for name, weight in prunable_weights(private).items():
        apply_mask(weight, masks[name], originals[name])
        weight.requires_grad_()  # a layer that is frozen in training is scored all the same
    with _global_generators_from(generator):
        scores = criterion.score(private, replace(data, inputs=data.inputs.to(dtype)), generator)
    _check(scores, masks if is_monotone(criterion) else all_kept(masks), type(criterion).__name__)
    return {name: scores[name].detach() for name in masks}


def prune_at_once(
    model: nn.Module,
    criterion: PrunesAtOnce,
    data: PruneSet,
    densities: Sequence[Decimal],
    scope: str,
    *,
    dtype: torch.dtype = torch.float64,
) -> Pruned:
    """All rounds of a criterion that can do them in one go, on a private copy of `model`."""
    private = copy.deepcopy(model).to(dtype).eval()
    for weight in prunable_weights(private).values():
        weight.requires_grad_()
    return criterion.prune(private, replace(data, inputs=data.inputs.to(dtype)), densities, scope)


@contextmanager
def _global_generators_from(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's global generators from it, for modules that take none (dropout in train mode); then restore them."""
    on_gpu = generator.device.type == "cuda"
    with torch.random.fork_rng(devices=[generator.device] if on_gpu else []):
        torch.default_generator.manual_seed(generator.initial_seed())
        if on_gpu:
            torch.cuda.manual_seed(generator.initial_seed())
        yield


def _check(scores: Scores, masks: Masks, criterion: str) -> None:
    """Every weight in `masks` has a score, finite where the mask is True."""
    if not isinstance(scores, dict):
        raise ValueError(
            f"{criterion}.score returned {type(scores).__name__}: expected a dict of tensors by weight name"
        )
    if missing := [name for name in masks if name not in scores]:
        raise ValueError(f"{criterion}.score left out {', '.join(missing)}: every prunable weight needs a score")
    for name, mask in masks.items():
        if not isinstance(scores[name], torch.Tensor):
            raise ValueError(f"{criterion}.score gave {name} a {type(scores[name]).__name__}: expected a tensor")
        if scores[name].shape != mask.shape:
            raise ValueError(
                f"{criterion}.score gave {name} shape {tuple(scores[name].shape)}: expected {tuple(mask.shape)}"
            )
        num_bad = int((~scores[name][mask].isfinite()).sum())
        if num_bad:
            raise ValueError(
                f"{criterion}.score is not finite for {num_bad} of {int(mask.sum())} weights of {name}: "
                "score in float64 (score_dtype: float64), or scale the criterion down"
            )
