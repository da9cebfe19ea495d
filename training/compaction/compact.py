"""From a masked network to the small network with the same function and the same training.

    small = compact(model, masks, input_shape)
    ... train small.model under small.masks, exactly as `model` under `masks` ...
    small.restore_into(model)

Train it with optimizers that treat every entry of a parameter by itself (SGD, Adam, AdamW, RMSprop), fresh ones or,
with `in_motion`, ones that go on (`carry.py`), and set removed weights to zero after each step, as the reference loop
does. Why it is exact, and for what: docs/compaction.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn

from pruning.masks import Masks, count_kept
from pruning.prunable import prunable_weights
from training.compaction.build import Builder, Slot
from training.compaction.graph import Graph, read_graph
from training.compaction.idle import Idle
from training.compaction.keep import Kept, find_kept
from training.compaction.operations.contract import NotUnderstood
from training.compaction.operations.layers import BatchNorm
from training.config import TrainingConfig
from training.masking import Removed
from training.optimizer import build_optimizer


@dataclass(frozen=True)
class NotCompacted:
    """Why a network must be trained masked dense."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """How much smaller."""

    num_units: int
    """Output units of convolutions and linear layers in the full network."""
    num_units_left: int
    num_weights_kept: int
    """Prunable weights that the masks keep."""
    num_weights_left: int
    """Entries of the small network's weight tensors, with the removed ones among them."""
    num_weights_idle: int
    """Kept weights without a gradient, which only weight decay changes."""


class SmallNetwork(nn.Module):
    """The small network: images in, logits of the full network out."""

    num_forwards: Tensor

    def __init__(self, layers: fx.GraphModule, idle: Idle, *, depends_on_images: bool) -> None:
        super().__init__()
        self.layers = layers
        self.idle = idle
        self.depends_on_images = depends_on_images
        # only convolutions gain by it: whatever flattens copies everything back
        self._in_channels_last = any(isinstance(layer, nn.Conv2d) for layer in layers.modules())
        self.register_buffer("num_forwards", torch.zeros((), dtype=torch.int64))

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits (n, classes). Where they do not depend on the images, only their number is looked at."""
        if not self.depends_on_images:
            return self.row(images_nchw).expand(len(images_nchw), -1)
        if self._in_channels_last and images_nchw.dim() == 4 and images_nchw.dtype is torch.float32:
            images_nchw = images_nchw.contiguous(memory_format=torch.channels_last)
        return self._logits(images_nchw)

    def row(self, images: Tensor) -> Tensor:
        """Of a collapsed network, the logits (1, classes) that every one of the images gets."""
        assert not self.depends_on_images
        return self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        if self.training:
            self.num_forwards += 1
        return cast(Tensor, self.idle(self.layers(images, len(images))))


class Compacted:
    """A small network and the way back to the full one."""

    def __init__(self, model: nn.Module, masks: Masks, graph: Graph, kept: Kept, *, every_layer: bool) -> None:
        builder = Builder(model, graph, kept, every_layer=every_layer)
        self.masks: Masks = {f"layers.{name}": mask for name, mask in builder.masks.items()}
        """By parameter names of `model`: inside the units left, weights are still sparse."""
        idle = Idle(model, masks, builder.slots, graph.parameters)
        small = SmallNetwork(builder.network(), idle, depends_on_images=builder.output.varies)
        self.model = small.train(model.training).to(next(model.parameters()).device)
        self.depends_on_images = builder.output.varies
        """False for a collapsed network: its logits are those of a constant."""
        self.slots: list[Slot] = builder.slots
        """Where each tensor of `model.layers` sits in the full network."""
        self._full_masks = masks
        self._full_parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
        self._norms = _norms(graph, kept)
        if next(model.parameters()).dtype is torch.float32:
            self.model.to(memory_format=torch.channels_last)
        layers = prunable_weights(model)
        self.facts = Facts(
            num_units=sum(len(weight) for weight in layers.values()),
            num_units_left=sum(len(mask) for mask in self.masks.values()),
            num_weights_kept=count_kept(masks),
            num_weights_left=sum(mask.numel() for mask in self.masks.values()),
            num_weights_idle=sum(len(index) for kind, _, index, _ in idle.places if kind == "weights"),
        )

    def removed_weights(self) -> Removed:
        """Weights of `model` with what the masks remove of them, for the training loop; dense ones left out."""
        parameters = dict(self.model.named_parameters())
        return [(parameters[name], ~mask) for name, mask in self.masks.items() if not mask.all()]

    def optimizer(self, config: TrainingConfig) -> torch.optim.Optimizer:
        """The configured optimizer, fused: a step of a small network spends most of its time between kernels."""
        optimizer = build_optimizer(self.model.parameters(), config)
        for group in optimizer.param_groups:
            group["fused"] = True
        return optimizer

    def full_gradients(self) -> dict[str, Tensor]:
        """After a backward pass: gradients by full name and shape, zero for what is left out or removed."""
        gradients = {name: torch.zeros_like(parameter) for name, parameter in self._full_parameters.items()}
        small = dict(self.model.layers.named_parameters())
        for slot in self.slots:
            gradient = small[slot.small_name].grad if slot.small_name in small else None
            if gradient is not None:
                gradients[slot.full_name][slot.index] = gradient
        for name, mask in self._full_masks.items():
            gradients[name].masked_fill_(~mask, 0.0)
        return gradients

    def untracked(self) -> dict[str, Tensor]:
        """Per running statistic of the full network, True for units that nothing reads: they are left as they were."""
        return {f"{name}.{part}": known.unread for name, known in self._norms.items() for part in _STATISTICS}

    @torch.no_grad()
    def restore_into(self, model: nn.Module) -> None:
        """Write what training made of the network into the full `model` (the one it was compacted from, or its equal).

        Removed weights become exactly zero. Running statistics of units that nothing reads stay as they are. As often
        as one likes: training may go on in between.
        """
        state = model.state_dict()
        for name, mask in self._full_masks.items():
            state[name].masked_fill_(~mask, 0.0)
        self._restore_statistics(state)
        small = self.model.layers.state_dict()
        for slot in self.slots:
            new = small[slot.small_name]
            if slot.full_name.endswith(_STATISTICS):
                read = ~self._norms[slot.full_name.rpartition(".")[0]].unread[slot.index[0]]
                state[slot.full_name][slot.index[0][read]] = new[read]
            else:
                state[slot.full_name][slot.index] = new
        self.model.idle.write_into(state)
        for name, mask in self._full_masks.items():
            state[name].masked_fill_(~mask, 0.0)

    def _restore_statistics(self, state: dict[str, Tensor]) -> None:
        """Running statistics of zeros, for all units: mean and variance 0 are averaged in, step by step."""
        steps = int(self.model.num_forwards)
        for name, known in self._norms.items():
            state[f"{name}.num_batches_tracked"].copy_(known.num_batches + steps)
            for part, at_start in known.statistics.items():
                decaying = known.zero_in & ~known.unread
                state[f"{name}.{part}"][decaying] = at_start[decaying] * (1 - known.momentum) ** steps


_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class _Norm:
    momentum: float
    zero_in: Tensor
    unread: Tensor
    num_batches: Tensor
    """Tracked before compaction."""
    statistics: dict[str, Tensor]
    """Running mean and variance before compaction."""


def _norms(graph: Graph, kept: Kept) -> dict[str, _Norm]:
    """What becomes of running statistics. A unit that is zero before and unread after is known all the same."""
    found = {}
    for operation in graph.operations:
        if isinstance(operation, BatchNorm) and (norm := operation.norm).running_mean is not None:
            zero_in = kept.zero[operation.sources[0]]
            found[operation.name] = _Norm(
                momentum=norm.momentum or 0.0,
                zero_in=zero_in,
                unread=kept.unread[operation.node] & ~zero_in,
                num_batches=norm.get_buffer("num_batches_tracked").clone(),
                statistics={part: norm.get_buffer(part).clone() for part in _STATISTICS},
            )
    return found


def compact(
    model: nn.Module,
    masks: Masks,
    input_shape: tuple[int, ...],
    in_motion: Mapping[str, Tensor] | None = None,
    *,
    every_layer: bool = False,
) -> Compacted | NotCompacted:
    """The small network of `model` under `masks`, for images of `input_shape` (channels, height, width).

    Of parameters that an optimizer in mid-training will go on with, `in_motion` says by name which entries it may move
    although their gradient is zero; without it the optimizer starts fresh and moves none. With `every_layer` no
    layer is left out altogether: networks of one architecture then have the same operations, whatever their masks.

    `model` is left untouched. NotCompacted, with the reason, where a construct is not understood, and where one that
    seemed to be makes an error here: a trial must not fail because of an optimisation. Running out of memory is raised:
    the engine would depend on the machine.
    """
    device = next(model.parameters()).device
    try:
        graph = read_graph(model, masks, input_shape)
        kept = find_kept(graph, device, in_motion or {}, every_layer=every_layer)
        return Compacted(model, masks, graph, kept, every_layer=every_layer)
    except NotUnderstood as error:
        return NotCompacted(str(error))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        return NotCompacted(f"{type(error).__name__} in compaction: {error}")
