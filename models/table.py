"""The models that ship, by name. Nothing here imports torch: a class is loaded when a trial needs it.

A new model is one file beside this one and one entry here. A user's own is `package.module:factory` in a sweep file:
anything that can be called as `factory(input_shape=(c, h, w), num_classes=n, **options)` and returns a module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model family member and what can be asked of it."""

    target: str
    """"module:Class"."""
    summary: str
    source: str
    options: tuple[str, ...] = ()
    """Names of the constructor's arguments besides input_shape and num_classes."""


MODELS: dict[str, ModelEntry] = {
    "mlp": ModelEntry(
        target="models.mlp:MLP",
        summary="fully connected, ReLU; hidden layers of given widths (500, 500)",
        source="LeNet-300-100's family (LeCun et al. 1998)",
        options=("widths",),
    ),
    "convnet": ModelEntry(
        target="models.convnet:ConvNet",
        summary="3x3 convolutions with BatchNorm and ReLU, pooled once, one linear classifier; widths (16, 32, 32)",
        source="a small VGG (Simonyan and Zisserman 2015)",
        options=("widths",),
    ),
}
