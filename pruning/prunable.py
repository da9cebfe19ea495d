"""Which parameters a pruner may touch: the weights of convolutions and linear layers, the classifier included."""

from __future__ import annotations

from typing import cast

from torch import nn

TRANSPOSED_LAYERS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Their weights are (inputs, outputs / groups, ...) where those of all others are (outputs, inputs / groups, ...)."""

PRUNABLE_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED_LAYERS)


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Prunable weight tensors by parameter name, in the order in which the model registers its layers.

    Biases and BatchNorm parameters are not prunable. A weight shared by two layers appears once.
    Raises ValueError for a model without any such layer.
    """
    names: dict[str, nn.Parameter] = {
        f"{name}.weight" if name else "weight": cast(nn.Parameter, module.weight)
        for name, module in model.named_modules()
        if isinstance(module, PRUNABLE_LAYERS)
    }
    if not names:
        raise ValueError(
            f"{type(model).__name__} has no prunable layer: expected at least one of "
            f"{', '.join(layer.__name__ for layer in PRUNABLE_LAYERS)}"
        )
    first_name = {id(weight): name for name, weight in reversed(names.items())}
    return {name: weight for name, weight in names.items() if first_name[id(weight)] == name}
