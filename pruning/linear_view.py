"""The positive linear network behind a network: what SynFlow scores and what connectivity is read from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from pruning.prunable import prunable_offsets
from pruning.scaled import scaled, value_and_exponent

_FEATURES_LAST = (nn.LayerNorm, nn.RMSNorm)
_CHANNELS_SECOND = (
    nn.GroupNorm,
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)


@torch.no_grad()
def to_linear_view(model: nn.Module) -> None:
    """Turn `model`, in place, into a network of non-negative weights without offsets, in eval mode.

    Weights become their absolute values; biases and running means become zero; BatchNorm keeps its scale,
    |gamma| / sqrt(var + eps). On a non-negative input every ReLU then passes everything, so the output is linear
    in each layer's weights and its sum is the synaptic flow R. Two consequences: a unit that is dead on real data
    because its bias closes its ReLU still carries flow, and max-pooling, which stays as it is, makes R non-linear:
    flow is conserved along the winning positions only. ReLU6 becomes ReLU: flow is no activation, and what is clipped
    at 6 would have no gradient.

    Offsets that are prunable (`pruning.prunable`) stay, as absolute values: a unit's score in, its offset's included,
    is its score out.

    A normalisation that measures its input (GroupNorm, LayerNorm, RMSNorm; InstanceNorm and BatchNorm without running
    statistics) would subtract the flow's mean and divide by its size: neither positive nor linear. It is replaced by
    the scale that BatchNorm has at initialisation, mean 0 and variance 1: |gamma| / sqrt(1 + eps).
    Raises ValueError naming the module where a subclass of such a normalisation has a forward pass of its own.
    """
    model.eval()
    offsets = {id(offset) for offset in prunable_offsets(model)}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name.endswith("bias") and id(parameter) not in offsets:
                parameter.zero_()
            else:
                parameter.abs_()
        if isinstance(module, _NormBase) and module.running_mean is not None:
            module.running_mean.zero_()
    for prefix, parent in list(model.named_modules()):
        for name, child in list(parent._modules.items()):  # named_children() hides a second name
            if child is not None and _measures_its_input(child):
                setattr(parent, name, _unit_scale(child, f"{prefix}.{name}" if prefix else name))
            elif isinstance(child, nn.ReLU6) or (isinstance(child, nn.Hardtanh) and child.min_val == 0):
                setattr(parent, name, nn.ReLU())


def synaptic_flow(view: nn.Module, inputs: Tensor) -> tuple[Tensor, int]:
    """R of a linear view as (value, exponent): R = value x 2^exponent, so gradients of the value are R's / 2^exponent.

    The exponent is 0 unless an activation leaves the middle of the dtype's range (2^256 either way in float64).
    Raises ValueError where it does in a network with a function that does not scale with its input.
    """
    return value_and_exponent(view(scaled(inputs)).sum())


class UnitScale(nn.Module):
    """A normalisation as if its input had mean 0 and variance 1: |gamma| / sqrt(1 + eps) a channel."""

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs times the scale, which broadcasts from the last dimension."""
        return inputs * self.scale


class UnitScaleOfChannels(UnitScale):
    """The same, a channel being the second dimension."""

    def forward(self, inputs_nc: Tensor) -> Tensor:
        """Inputs (n, channels, ...) times the scale of each channel."""
        return inputs_nc * self.scale.view(-1, *[1] * (inputs_nc.dim() - 2))


def _measures_its_input(module: nn.Module) -> bool:
    if isinstance(module, _NormBase):
        return module.running_mean is None
    return isinstance(module, (nn.GroupNorm, *_FEATURES_LAST))


def _unit_scale(norm: nn.Module, name: str) -> nn.Module:
    if type(norm) not in (*_FEATURES_LAST, *_CHANNELS_SECOND):
        raise ValueError(
            f"{name} is a {type(norm).__name__}, a normalisation with a forward pass of its own: its positive linear "
            f"view is not known. Use {type(norm).__mro__[1].__name__} itself, or BatchNorm with running statistics"
        )
    weight = getattr(norm, "weight", None)
    eps = getattr(norm, "eps", None) or 0.0  # RMSNorm's default is the dtype's epsilon: no difference
    # A number without dimensions takes the dtype of what it meets.
    scale = torch.tensor(1.0, dtype=torch.float64) if weight is None else weight.detach()
    kind = UnitScale if weight is None or isinstance(norm, _FEATURES_LAST) else UnitScaleOfChannels
    return kind(scale / (1 + eps) ** 0.5)
