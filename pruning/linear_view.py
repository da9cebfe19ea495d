"""The positive linear network behind a network: what SynFlow scores and what connectivity is read from."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def to_linear_view(model: nn.Module) -> None:
    """Turn `model`, in place, into a network of non-negative weights without offsets, in eval mode.

    Weights become their absolute values; biases and running means become zero; BatchNorm keeps its scale,
    |gamma| / sqrt(var + eps). On a non-negative input every ReLU then passes everything, so the output is linear
    in each layer's weights and its sum is the synaptic flow R. Max-pooling stays as it is and makes R non-linear:
    flow is conserved along the winning positions only.
    """
    model.eval()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias":
                parameter.zero_()
            else:
                parameter.abs_()
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            module.running_mean.zero_()
