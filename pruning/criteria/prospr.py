"""ProsPr (Alizadeh et al., ICLR 2022, arXiv:2202.08132): prospect pruning by meta-gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from pruning.criteria.contract import PruneSet
from pruning.masked import mask_of
from pruning.masks import Scores
from pruning.prunable import gates, prunable_weights


class ProsPr:
    """S = |dL(w_M) / dm|, w_0 = m * theta, w_{t+1} = w_t - lr (dL/dw)(w_t): the loss after M steps against the masks.

    The M steps of gradient descent are differentiated through, second derivatives included; all parameters take part,
    only prunable ones have a mask. Step t sees batch t of the prune set, going round; the last loss sees the next one.
    With `steps` 0 the score is SNIP's on the first batch. Weights that are removed stay zero in every step.
    Defaults are the authors' (3 steps, lr 0.1, no momentum, full meta-gradients); memory grows with `steps`. Their
    command line by default stays on one batch of 128 examples; here that is a prune set of one batch.
    """

    def __init__(self, steps: int = 3, lr: float = 0.1) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise ValueError(f"prospr's steps {steps}: expected a whole number from 0 on (published: 3)")
        if not lr > 0:
            raise ValueError(f"prospr's lr {lr}: expected a positive number (published: 0.1)")
        self.steps = steps
        self.lr = lr

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """Effect of each weight's mask on the loss after a few steps of training."""
        weights = prunable_weights(model)
        masks = {name: mask_of(weight).to(weight.dtype).requires_grad_() for name, weight in weights.items()}
        parameters: dict[str, Tensor] = {}
        for name, parameter in model.named_parameters():
            start = parameter.detach()
            parameters[name] = masks[name] * start if name in masks else start.clone().requires_grad_()
        batches = data.batches()
        fixed = gates(model)
        for step in range(self.steps):
            loss = _loss(model, parameters, batches[step % len(batches)])
            gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, materialize_grads=True)
            parameters = {
                name: parameter
                if name in fixed
                else parameter - self.lr * (gradient * masks[name].detach() if name in masks else gradient)
                for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
            }
        loss = _loss(model, parameters, batches[self.steps % len(batches)])
        meta_gradients = torch.autograd.grad(loss, list(masks.values()), materialize_grads=True)
        return {name: gradient.abs() for name, gradient in zip(masks, meta_gradients, strict=True)}


def _loss(model: nn.Module, parameters: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    inputs, targets = batch
    return F.cross_entropy(functional_call(model, parameters, (inputs,)), targets)
