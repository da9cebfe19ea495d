"""GraSP (Wang, Zhang, Grosse, ICLR 2020, arXiv:2002.07376)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning.criteria.contract import PruneSet
from pruning.masks import Scores
from pruning.prunable import prunable_weights


class Grasp:
    """S = theta * (H g): removing a weight changes the squared gradient norm by about -2 S, so keep the highest S.

    g and H are gradient and Hessian of the mean cross-entropy with logits divided by `temperature` (200, as
    published). The score is signed. The sign differs from the first release of SynFlow's code, which kept the lowest;
    its published GraSP curves predate the fix. H g is computed batch by batch against the gradient of the whole prune
    set, so the result does not depend on the batch size (except through BatchNorm's batch statistics in train mode).
    """

    def __init__(self, temperature: float = 200.0) -> None:
        if not temperature > 0:
            raise ValueError(f"grasp's temperature {temperature}: expected a positive number (published: 200)")
        self.temperature = temperature

    def score(self, model: nn.Module, data: PruneSet, generator: torch.Generator) -> Scores:
        """First-order effect of each weight on the gradient flow after pruning."""
        weights = prunable_weights(model)
        parameters = list(weights.values())
        gradient = [torch.zeros_like(weight) for weight in parameters]
        for inputs, targets in data.batches():
            for total, part in zip(gradient, self._gradient(model, inputs, targets, data, parameters), strict=True):
                total.add_(part.detach())
        hessian_gradient = [torch.zeros_like(weight) for weight in parameters]
        for inputs, targets in data.batches():
            parts = self._gradient(model, inputs, targets, data, parameters)
            flow = torch.stack([(part * fixed).sum() for part, fixed in zip(parts, gradient, strict=True)]).sum()
            for total, part in zip(
                hessian_gradient, torch.autograd.grad(flow, parameters, materialize_grads=True), strict=True
            ):
                total.add_(part)
        return {
            name: weight.detach() * product
            for (name, weight), product in zip(weights.items(), hessian_gradient, strict=True)
        }

    def _gradient(
        self, model: nn.Module, inputs: Tensor, targets: Tensor, data: PruneSet, parameters: list[nn.Parameter]
    ) -> tuple[Tensor, ...]:
        """This batch's share of the gradient, with the graph that a second differentiation needs."""
        logits = model(inputs) / self.temperature
        loss = F.cross_entropy(logits, targets, reduction="sum") / len(data.targets)
        return torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
