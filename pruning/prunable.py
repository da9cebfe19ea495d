"""Which parameters a pruner may touch: the weights of convolutions and linear layers, the classifier included.

On request also biases, BatchNorm's scale and residual identities. What was asked for travels with the model and its
copies, so that whoever scores, masks, trains or counts asks `prunable_weights` and gets the same answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruning.table import PRUNABLE_KINDS

TRANSPOSED_LAYERS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Their weights are (inputs, outputs / groups, ...) where those of all others are (outputs, inputs / groups, ...)."""

PRUNABLE_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED_LAYERS)


_KEY = "_prunable_kinds"


class GatedShortcut(nn.Module):
    """A shortcut without parameters behind a scale a channel: 1, or 0 where pruned. It is never trained."""

    def __init__(self, shortcut: nn.Module, num_channels: int) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.scale = nn.Parameter(torch.ones(num_channels), requires_grad=False)

    def forward(self, features_nc: Tensor) -> Tensor:
        """(n, channels, ...): what the shortcut makes of the channels that are kept."""
        return cast(Tensor, self.shortcut(features_nc * self.scale.view(-1, *[1] * (features_nc.dim() - 2))))


def choose_prunable(model: nn.Module, kinds: str) -> None:
    """Say, once and for all copies of `model`, what is prunable: "weights", or that and more, separated by commas.

    "biases" are those of prunable layers; "batchnorm" is BatchNorm's scale, and with "biases" its offset (as in the
    SynFlow paper's code), where it has running statistics; "residual" gives every shortcut without parameters (a
    module with an attribute `residual_channels`) a scale a channel, which is 1 until it is pruned.
    Raises ValueError for other kinds, and where the model has nothing of a kind.
    """
    chosen = kinds.split(",")
    if unknown := [kind for kind in chosen if kind not in PRUNABLE_KINDS]:
        raise ValueError(f"prunable {unknown[0]!r}: expected some of {', '.join(PRUNABLE_KINDS)}")
    if "weights" not in chosen:
        raise ValueError(f"prunable {kinds!r} leaves the weights out: they always are, add 'weights'")
    vars(model)[_KEY] = frozenset(chosen)
    if "residual" in chosen:
        _gate_shortcuts(model)
    for kind in chosen:
        others = [one for one in chosen if one != kind]
        if kind != "weights" and all(
            _prunable_in(module, chosen).keys() == _prunable_in(module, others).keys() for module in model.modules()
        ):
            raise ValueError(f"{type(model).__name__} has no prunable {kind}: leave {kind!r} out of `prunable`")


def prunable_kinds(model: nn.Module) -> frozenset[str]:
    """What `choose_prunable` said; the weights alone unless it was called."""
    kinds: frozenset[str] = vars(model).get(_KEY, frozenset(["weights"]))
    return kinds


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Prunable tensors by parameter name, in the order in which the model registers its layers.

    The weights of `PRUNABLE_LAYERS`, and what else `choose_prunable` said. Weights of layers have two dimensions or
    more (`is_layer`), everything else has one. A parameter shared by two layers appears once.
    Raises ValueError for a model without any such layer.
    """
    kinds = prunable_kinds(model)
    names: dict[str, nn.Parameter] = {
        f"{prefix}.{name}" if prefix else name: parameter
        for prefix, module in model.named_modules()
        for name, parameter in _prunable_in(module, kinds).items()
    }
    if not any(is_layer(weight) for weight in names.values()):
        raise ValueError(
            f"{type(model).__name__} has no prunable layer: expected at least one of "
            f"{', '.join(layer.__name__ for layer in PRUNABLE_LAYERS)}"
        )
    first_name = {id(weight): name for name, weight in reversed(names.items())}
    return {name: weight for name, weight in names.items() if first_name[id(weight)] == name}


def is_layer(tensor: Tensor) -> bool:
    """Whether a prunable tensor (or its mask or scores) is a layer's weight, without which the layer is collapsed."""
    return tensor.dim() > 1


def layer_names(tensors: Mapping[str, Tensor]) -> list[str]:
    """Which of the prunable tensors (masks, scores) are weights of layers; all, where none has two dimensions."""
    return [name for name, tensor in tensors.items() if is_layer(tensor)] or list(tensors)


def prunable_offsets(model: nn.Module) -> list[nn.Parameter]:
    """The prunable tensors that are added, not multiplied by: biases and BatchNorm's offsets."""
    kinds = prunable_kinds(model)
    found = (_prunable_in(module, kinds).get("bias") for module in model.modules())
    return [parameter for parameter in found if parameter is not None]


def gates(model: nn.Module) -> set[str]:
    """Names of the parameters that are prunable but never trained: the scales of residual identities."""
    return {
        f"{prefix}.scale" if prefix else "scale"
        for prefix, module in model.named_modules()
        if isinstance(module, GatedShortcut)
    }


def _prunable_in(module: nn.Module, kinds: Collection[str]) -> dict[str, nn.Parameter]:
    """The prunable parameters that are this module's own, by name."""
    if isinstance(module, PRUNABLE_LAYERS):
        own = {"weight": "weights" in kinds, "bias": "biases" in kinds}
    elif isinstance(module, _BatchNorm) and module.affine and module.running_mean is not None:
        own = {"weight": "batchnorm" in kinds, "bias": {"batchnorm", "biases"} <= set(kinds)}
    elif isinstance(module, GatedShortcut):
        own = {"scale": "residual" in kinds}
    else:
        return {}
    found = {name: getattr(module, name) for name, is_prunable in own.items() if is_prunable}
    return {name: parameter for name, parameter in found.items() if parameter is not None}


def _gate_shortcuts(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            num_channels = getattr(child, "residual_channels", None)
            if child is not None and num_channels is not None and not isinstance(parent, GatedShortcut):
                setattr(parent, name, GatedShortcut(child, int(num_channels)))
