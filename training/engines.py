"""How a masked network is trained: as it is, or as the small network that is left of it.

The one place where the reference path and the fast path differ. Both give the same training, to rounding
(docs/compaction.md); which one a trial takes depends on its configuration and on the engine asked for, never on a
measurement, and is recorded with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning.dynamic.contract import is_dynamic
from pruning.masks import Masks
from training.build import build_criterion
from training.compaction.carry import Carry, in_motion
from training.compaction.compact import Compacted, NotCompacted, compact
from training.compaction.tail import Tail
from training.config import TrainingConfig, TrialConfig
from training.fusion.reading import NotFused, Reading, read
from training.masking import Removed, removed_weights
from training.optimizer import build_optimizer
from training.state import State


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """What the training loop steps and measures."""

    model: nn.Module
    removed: Removed
    """Weights of `model` that are set to zero after every step."""
    optimizer: torch.optim.Optimizer
    engine: str = "reference"
    """"reference": dense tensors, masked after every step; "compact": the small network; "fused": that network, which
    may be trained beside others."""
    fallback: str = ""
    """Why another engine trains than was asked for."""
    restore_into: Callable[[nn.Module], None] | None = None
    """Writes what training made of `model` into the full one; None where `model` is that."""
    carry: Carry | None = None
    """Between the states of `model` in training and those of the full one; None where `model` is that."""
    reading: Reading | None = None
    """Of the fused engine, what says whom it can be trained beside."""
    tail: Tail | None = None
    """Of a collapsed network, what is left to train: its logits are those of a constant, and only labels matter."""

    def full_state(self, state: State) -> State:
        """The full network's state in training, given `model`'s as it stands now; the full network is put there too."""
        return self.carry.to_full(state) if self.carry else state

    def own_state(self, state: State) -> State:
        """`model`'s state in training where the full network's, which it was made of, is `state`."""
        return self.carry.of_full(state) if self.carry else state

    def backward(self, images: Tensor, labels: Tensor, config: TrainingConfig) -> Tensor:
        """The mean loss of a batch, a scalar; the gradient of every parameter is left in it.

        A collapsed network's `labels` are counts of each class, as `training.datasets.labels_only` hands them out.
        """
        if self.tail is not None:
            return self.tail.backward(images, labels, config)
        loss = training_loss(self.model, images, labels, config)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return loss.detach()


def masked_dense(model: nn.Module, masks: Masks, config: TrainingConfig, *, fallback: str = "") -> Trainee:
    """`model` itself: the oracle for every faster engine."""
    return Trainee(
        model=model,
        removed=removed_weights(model, masks),
        optimizer=build_optimizer(model.parameters(), config),
        fallback=fallback,
    )


def trainee(
    model: nn.Module,
    masks: Masks,
    input_shape: tuple[int, int, int],
    config: TrialConfig,
    engine: str,
    goes_on_from: State | None = None,
) -> Trainee:
    """What is trained in place of `model` under `masks`.

    `model` is left untouched by the compact engine: it holds the weights that training starts from, not the trained
    ones. `goes_on_from` is a state of the full network whose optimizer is to be gone on with, if there is one.
    """
    if engine == "reference":
        return masked_dense(model, masks, config.training)
    if reason := needs_the_full_network(config):
        return masked_dense(model, masks, config.training, fallback=reason)
    moving = in_motion(model, goes_on_from, config.training) if goes_on_from else None
    small = compact(model, masks, input_shape, moving)
    if isinstance(small, NotCompacted):
        return masked_dense(model, masks, config.training, fallback=small.reason)
    reading, apart = None, ""
    if engine == "fused":
        try:
            small, reading = _for_company(small, model, masks, input_shape, config)
        except NotFused as error:
            apart = str(error)
    return Trainee(
        model=small.model,
        removed=small.removed_weights(),
        optimizer=small.optimizer(config.training),
        engine="fused" if reading else "compact",
        fallback=apart,
        reading=reading,
        restore_into=small.restore_into,
        carry=Carry(small, model, config.training),
        tail=None if small.depends_on_images else Tail(small.model),
    )


def _for_company(
    small: Compacted, model: nn.Module, masks: Masks, input_shape: tuple[int, int, int], config: TrialConfig
) -> tuple[Compacted, Reading]:
    """The small network as it can be trained beside others: with every layer. Raises NotFused with the reason."""
    if config.levels.pre_epochs:
        raise NotFused("training goes on between prunings")
    if not small.depends_on_images:
        raise NotFused("the network has collapsed: its constant-input tail alone is trained")
    with_every_layer = compact(model, masks, input_shape, every_layer=True)
    if isinstance(with_every_layer, NotCompacted):
        raise NotFused(with_every_layer.reason)
    return with_every_layer, read(with_every_layer.model, input_shape)


def needs_the_full_network(config: TrialConfig) -> str:
    """Why a trial cannot be trained on the small network; "" where it can."""
    if not config.pruner.is_dense and is_dynamic(build_criterion(config.pruner)):
        return "masks change during training"
    if config.pruner.prunable != "weights":
        return f"prunable are {config.pruner.prunable}"
    if brings_weights_back(config):
        return "the shuffled mask brings back weights that earlier levels removed"
    return ""


def brings_weights_back(config: TrialConfig) -> bool:
    """Whether a mask holds weights that an earlier one removed, and training goes on where it was.

    What has become of such a weight's momentum and of statistics behind it, only the full network knows.
    """
    levels = config.levels
    return config.pruner.ablation == "shuffle" and levels.levels > 1 and levels.rewind != "weights"


def training_loss(model: nn.Module, images: Tensor, labels: Tensor, config: TrainingConfig) -> Tensor:
    """Mean cross-entropy over the batch with the configured label smoothing and precision.

    bf16 is autocast: parameters, their gradients and the loss stay in the parameters' own dtype or float32.
    """
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
        return F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
