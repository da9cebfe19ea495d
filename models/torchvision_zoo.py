"""Any classifier of torchvision by its name there, with torchvision's own initial weights; nothing is downloaded."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from torch import nn

from models.pooling import average_pooling
from models.weights import with_weights

_WITHOUT_AUXILIARY_OUTPUTS = {"aux_logits": False, "init_weights": True}
"""These two return a tuple in train mode otherwise, and warn about their initial weights."""


def classifier(
    *, input_shape: tuple[int, int, int], num_classes: int, arch: str, weights: str | None = None
) -> nn.Module:
    """`torchvision.models`' network named `arch`, for three-channel images.

    Raises ImportError without torchvision; ValueError for an unknown name (with the nearest) or images of another kind.
    """
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if arch not in known:
        nearest = difflib.get_close_matches(arch, known, n=3)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known)}"
        raise ValueError(f"torchvision has no classifier {arch!r}: {hint}")
    channels, height, width = input_shape
    if channels != 3:
        raise ValueError(f"torchvision's {arch} takes images of 3 channels, not {channels}; our own models take any")
    options: dict[str, Any] = {"num_classes": num_classes}
    if arch in ("googlenet", "inception_v3"):
        options |= _WITHOUT_AUXILIARY_OUTPUTS
    elif arch.startswith("vit_"):
        if height != width:
            raise ValueError(f"torchvision's {arch} takes square images, not {height}x{width}")
        options["image_size"] = height
    elif arch.startswith("maxvit"):
        options["input_size"] = (height, width)
    model = torchvision.models.get_model(arch, weights=None, **options)
    if arch == "alexnet" or arch.startswith("vgg"):
        _pool_repeatably(model, input_shape)
    return with_weights(model, weights)


def _pool_repeatably(model: Any, input_shape: tuple[int, int, int]) -> None:
    """Put what gives the same (`models.pooling`) in the place of the pooling between features and classifier."""
    weightless = {name: one.to("meta") for name, one in model.features.named_parameters()}
    state = weightless | {name: one.to("meta") for name, one in model.features.named_buffers()}
    features = torch.func.functional_call(model.features, state, torch.empty(1, *input_shape, device="meta"))
    model.avgpool = average_pooling(model.avgpool.output_size[0], *features.shape[2:])
