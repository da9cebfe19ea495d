"""NTK-SAP (Wang, Li, Sun, ICLR 2023, arXiv:2304.02840): pruning that keeps the neural tangent kernel's spectrum."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from pruning.criteria.contract import PruneSet
from pruning.masked import mask_of, unmasked
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class NtkSap:
    """S = |d/dm sum_x |f(x; m theta) - f(x; m (theta + eps eta))|^2|, x and eta Gaussian, theta fresh for every batch.

    The finite difference stands for eps^2 times the tangent kernel's trace. Labels and images are not looked at, only
    their number and shape. Defaults are the authors': eps 0.01, 5 passes, 20 rounds. In train mode, as they do, the
    perturbed network is normalised by the unperturbed one's batch statistics (no dropout); in eval mode by the running
    statistics.

    Differs from the authors' code in how weights are drawn anew: it calls each model's own initialisation; here a
    layer's weights before masking are put in a random order, which keeps their law whatever it is and needs nothing of
    the model. (An orthogonal initialisation becomes independent entries.) Biases stay as they are.
    """

    def __init__(self, eps: float = 0.01, passes: int = 5) -> None:
        if not eps > 0:
            raise ValueError(f"ntk_sap's eps {eps}: expected a positive number (published: 0.01)")
        if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
            raise ValueError(f"ntk_sap's passes {passes}: expected a whole number from 1 on (published: 5)")
        self.eps = eps
        self.passes = passes

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Effect of each weight's mask on the network's response to small changes of all weights."""
        weights = prunable_weights(model)
        originals = {name: unmasked(weight) for name, weight in weights.items()}
        masks = {name: mask_of(weight).to(weight.dtype) for name, weight in weights.items()}
        totals = {name: torch.zeros_like(mask) for name, mask in masks.items()}
        for _ in range(self.passes):
            for inputs, _ in data.batches():
                fresh = {name: _in_random_order(weight, generator) for name, weight in originals.items()}
                changed = {name: weight + self.eps * _gaussian(weight, generator) for name, weight in fresh.items()}
                images = _gaussian(inputs, generator)
                for name, part in response_gradients(model, images, fresh, changed, masks).items():
                    totals[name].add_(part)
        return {name: total.abs() for name, total in totals.items()}


def response_gradients(
    model: nn.Module,
    inputs: Tensor,
    weights: Mapping[str, Tensor],
    changed: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Gradient, with respect to the masks, of sum_x |f(x; m weights) - f(x; m changed)|^2.

    In train mode BatchNorm's running statistics of `model` become those of `inputs` under `weights`, and both networks
    are evaluated with them.
    """
    variables = {name: mask.clone().requires_grad_() for name, mask in masks.items()}
    if model.training:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.reset_running_stats()
                module.momentum = 1.0
        with torch.no_grad():
            functional_call(model, {name: masks[name] * weight for name, weight in weights.items()}, (inputs,))
        model.eval()
        try:
            return _gradients(model, inputs, weights, changed, variables)
        finally:
            model.train()
    return _gradients(model, inputs, weights, changed, variables)


def _gradients(
    model: nn.Module,
    inputs: Tensor,
    weights: Mapping[str, Tensor],
    changed: Mapping[str, Tensor],
    variables: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    outputs, moved = (
        functional_call(model, {name: variables[name] * weight for name, weight in theta.items()}, (inputs,))
        for theta in (weights, changed)
    )
    gradients = torch.autograd.grad((outputs - moved).square().sum(), list(variables.values()), materialize_grads=True)
    return dict(zip(variables, gradients, strict=True))


def _in_random_order(weight: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(weight.numel(), generator=generator, device=weight.device)
    return weight.flatten()[order].view(weight.shape)


def _gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
