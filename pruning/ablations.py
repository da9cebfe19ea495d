"""Sanity checks of Frankle et al. (2021, arXiv:2009.08576): what of a mask matters?

If shuffling a mask inside its layers, or drawing new weights under it, costs no accuracy, then the pruner chose layer
densities, not weights. If inverting its scores costs none, it chose nothing.
"""

from __future__ import annotations

import torch

from pruning.masks import Masks, Scores

ABLATIONS = ("none", "shuffle", "reinitialise", "invert")
"""`shuffle` permutes the mask inside each layer; `reinitialise` draws new weights after pruning (the caller's part, who
knows how to build the model); `invert` keeps the lowest scores instead of the highest."""


def shuffled(masks: Masks, generator: torch.Generator) -> Masks:
    """Each layer's mask in a random order: the same counts, other places."""
    return {name: _permuted(mask, generator) for name, mask in masks.items()}


def inverted(scores: Scores) -> Scores:
    """Scores whose highest are the given ones' lowest. Exact, ties included: no reciprocal, no infinities."""
    return {name: -score for name, score in scores.items()}


def _permuted(mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    order = torch.randperm(mask.numel(), generator=generator, device=mask.device)
    return mask.flatten()[order].view_as(mask)
