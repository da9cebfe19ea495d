"""The key `training` of a sweep file: its options, how a preset fills it, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator.axis import Axis, Strict
from training.config import OPTIMIZERS_USING

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class TrainingSpec(Strict):
    """How every pruned network is trained. Formulas and sources: docs/recipes.md."""

    epochs: Axis[Annotated[int, Field(ge=0, le=1_000_000)]] = []
    """Passes over the training set; 0: networks are pruned and nothing more. Required, here or in a preset."""
    optimizer: Axis[Literal["sgd", "momentum", "adam", "adamw", "rmsprop"]] = ["momentum"]
    lr: Axis[Positive] | None = None
    """Learning rate after warm-up, before any drop. 0.1 for sgd and momentum, 0.001 for the others unless given."""
    momentum: Axis[Fraction] = [0.9]
    """Of the optimizer `momentum`."""
    nesterov: Axis[bool] = [True]
    """Whether the optimizer `momentum` is Nesterov's, or the heavy ball."""
    beta1: Axis[Decay] = [0.9]
    """Decay of the mean of gradients, of adam and adamw."""
    beta2: Axis[Decay] = [0.999]
    """Decay of the mean of squared gradients, of adam and adamw."""
    epsilon: Axis[Positive] = [1e-8]
    """Added in the denominator of adam, adamw and rmsprop."""
    rmsprop_alpha: Axis[Decay] = [0.99]
    """Decay of the mean of squared gradients, of rmsprop."""
    weight_decay: Axis[NotNegative] = [0.0]
    """L2 penalty; of adamw, decay apart from the gradient."""
    weight_decay_on: Axis[Literal["all", "weights"]] = ["all"]
    """all parameters, or weights: neither biases nor BatchNorm's parameters."""
    batch_size: Axis[Annotated[int, Field(ge=1, le=1_000_000_000)]] = [128]
    """Images a step."""
    lr_schedule: Axis[Literal["step", "cosine"]] = ["step"]
    """step: lr_drops, constant without; cosine: half a cosine to 0, step by step."""
    lr_drops: list[Annotated[int, Field(ge=1)]] = []
    """Epochs after which the learning rate is multiplied by lr_drop_factor. One list: not an axis."""
    lr_drop_factor: Axis[Fraction] = [0.1]
    warmup_epochs: Axis[NotNegative] = [0.0]
    """Epochs over which the learning rate grows linearly, step by step."""
    label_smoothing: Axis[Annotated[float, Field(ge=0, lt=1)]] = [0.0]
    """Share of the target spread evenly over all classes while training."""
    clip_grad_norm: Axis[NotNegative] = [0.0]
    """Largest norm of all gradients together, those of removed weights not counted; 0: no limit."""
    precision: Axis[Literal["float32", "bf16"]] = ["float32"]
    """bf16: forward passes of training under bfloat16 autocast."""
    augment: Axis[bool] = [False]
    """Whether training images go through the data set's own augmentation."""

    @property
    def given(self) -> dict[str, Any]:
        """What was written, as opposed to left out."""
        return {name: getattr(self, name) for name in self.model_fields_set}


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """A key that cannot mean anything beside the others."""

    key: str
    text: str


def merged(published: Mapping[str, Any], written: TrainingSpec) -> TrainingSpec:
    """Published settings under those written. Of the published, those that nothing uses any more are left out."""
    recipe = TrainingSpec.model_validate({**published, **written.given})
    return TrainingSpec.model_validate(
        {key: value for key, value in recipe.given.items() if key in written.given or not _unused(key, recipe)}
    )


def contradiction(recipe: TrainingSpec, written: Set[str]) -> Contradiction | None:
    """The first key among the written that nothing uses, or that does not fit the number of epochs."""
    for key in TrainingSpec.model_fields:
        if key in written and (reason := _unused(key, recipe)):
            return Contradiction(key=key, text=f"{key} is set but {reason}, or remove the key")
    longest, shortest = max(recipe.epochs), min(recipe.epochs)
    if not longest:
        return None  # nothing is trained: whatever else is said of training waits for epochs
    for drop in recipe.lr_drops:
        if drop >= longest:
            text = f"a drop after epoch {drop} of {longest} changes nothing: drop before the last epoch"
            return Contradiction(key="lr_drops", text=text)
    for warmup in recipe.warmup_epochs:
        if warmup > shortest:
            text = f"a warm-up of {warmup:g} epochs is longer than a training of {shortest}: write at most {shortest}"
            return Contradiction(key="warmup_epochs", text=text)
    return None


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings in words, in the order of the keys of `training`: "epochs 160, lr 0.1"."""
    shown = {name: settings[name] for name in TrainingSpec.model_fields if name in settings}
    return ", ".join(
        f"{name} {' or '.join(map(str, value)) if name != 'lr_drops' else value}".replace("True", "true").replace(
            "False", "false"
        )
        for name, value in shown.items()
    )


def _unused(key: str, recipe: TrainingSpec) -> str:
    """Why nothing uses a key, with the remedy; "" for a key in use."""
    users = OPTIMIZERS_USING.get(key, recipe.optimizer)
    if not set(users) & set(recipe.optimizer):
        return f"no optimizer here uses it: write optimizer: {' or '.join(users)}"
    if key == "lr_drops" and "step" not in recipe.lr_schedule:
        return "no schedule here has drops: write lr_schedule: step"
    if key == "lr_drop_factor" and not (recipe.lr_drops and "step" in recipe.lr_schedule):
        return "there are no drops: write lr_drops: [epoch, ...]"
    if key == "weight_decay_on" and not any(recipe.weight_decay):
        return "there is no weight_decay: write weight_decay: 0.0001, for example"
    return ""
