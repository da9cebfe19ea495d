"""Training of a collapsed network: what is left behind the cut, on labels alone.

All images get one row of logits, so a batch is how often each class occurs in it:

    loss = -sum_k shares_k log softmax(row)_k,  shares_k = (1 - s) count_k / n + s / classes

with label smoothing s, which is the mean cross-entropy of n equal rows. In nearly every collapsed network all that gets
a gradient is the last bias, and its gradient is softmax(bias) - shares: no graph is needed for it. Other tails (default
biases, a network that was trained before) go through autograd, on one row.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from training.compaction.compact import SmallNetwork
from training.compaction.parts import BiasAlone
from training.config import TrainingConfig


def label_shares(counts: Tensor, num_images: int, smoothing: float) -> Tensor:
    """The distribution (classes,) that a batch's labels ask for, given how often each occurs."""
    return counts * ((1 - smoothing) / num_images) + smoothing / len(counts)


class Tail:
    """Losses and gradients of a collapsed network."""

    def __init__(self, network: SmallNetwork) -> None:
        self._network = network
        self._bias = _lone_bias(network)
        self._dtype = next(network.parameters()).dtype

    @property
    def is_lone_bias(self) -> bool:
        """Whether the last bias is all that gets a gradient."""
        return self._bias is not None

    def backward(self, images: Tensor, counts: Tensor, config: TrainingConfig) -> Tensor:
        """The mean loss of a batch of labels, (classes,) `counts` of each, float64; images are only counted.

        Its gradient in every parameter that trains, zero in those that are idle.
        """
        if self._bias is None:
            return self._through_the_graph(images, counts, config)
        bias = self._bias.detach()
        shares = label_shares(counts, len(images), config.label_smoothing).to(bias.dtype)
        log_probabilities = torch.log_softmax(bias, 0)
        self._bias.grad = log_probabilities.exp().sub_(shares)
        for parameter in self._network.idle.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._network.num_forwards.add_(1)
        return shares.dot(log_probabilities).neg_()

    def _through_the_graph(self, images: Tensor, counts: Tensor, config: TrainingConfig) -> Tensor:
        self._network.zero_grad(set_to_none=True)
        with torch.autocast(counts.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
            (row,) = self._network.row(images.to(self._dtype))
        log_probabilities = torch.log_softmax(row.to(self._dtype), 0)  # as autocast has the loss of a batch computed
        shares = label_shares(counts, len(images), config.label_smoothing).to(log_probabilities.dtype)
        loss = -shares.dot(log_probabilities)
        loss.backward()
        return loss.detach()


def _lone_bias(network: SmallNetwork) -> nn.Parameter | None:
    """The bias that is the row of logits, if it is all that trains."""
    *_, output = network.layers.graph.nodes
    (result,) = output.args
    if not isinstance(result, fx.Node) or result.op != "call_module" or len(list(network.layers.parameters())) != 1:
        return None
    last = network.layers.get_submodule(str(result.target))
    return last.bias if isinstance(last, BiasAlone) and last.bias.requires_grad else None
