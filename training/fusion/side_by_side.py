"""Several small networks as one: images in, logits of each of them out; their training state in, and out again.

Every network is computed as by itself, but for the order of additions inside a convolution or product. Padding is zero
at first; weights in it are removed after every step like the masks' own, and nothing else of it is ever read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.compaction.idle import with_idle
from training.config import TrainingConfig
from training.engines import Trainee
from training.fusion.reading import Reading
from training.fusion.stacking import of_network, stacked
from training.fusion.widen import Widener
from training.masking import Removed
from training.optimizer import build_optimizer
from training.state import as_laid_out


class SideBySide(nn.Module):
    """Small networks of one signature, computed together."""

    def __init__(self, readings: Sequence[Reading], num_channels: int, *, shares_images: bool) -> None:
        """With `shares_images` all see the same images; else each has channels of its own, block after block."""
        super().__init__()
        networks = [reading.network for reading in readings]
        self.num_networks = len(networks)
        self._num_channels, self._shares_images = num_channels, shares_images
        self.layers = Widener(readings, num_channels, shares_images=shares_images).network()
        self.idle = nn.ParameterDict()
        for kind in ("weights", "offsets"):
            known = [getattr(network.idle, kind) for network in networks]
            present = [one.detach() for one in known if one is not None]
            if present:
                without = present[0][:0]
                self.idle[kind] = nn.Parameter(stacked([without if one is None else one.detach() for one in known]))
        first = networks[0]
        self.train(first.training).to(next(first.parameters()).device)
        self._in_channels_last = any(isinstance(layer, nn.Conv2d) for layer in self.layers.modules())
        self._in_channels_last &= next(first.parameters()).dtype is torch.float32
        if self._in_channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, K, classes) of images (n, c, h, w) for all networks, or (n, K c, h, w) for each its own."""
        if not self._shares_images and images.shape[1] == self._num_channels:
            images = images.repeat(1, self.num_networks, 1, 1)
        if self._in_channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits = with_idle(self.layers(images, len(images)), list(self.idle.values()))
        return logits.unflatten(1, (self.num_networks, -1))

    def own(self, wide: Tensor, number: int, like: Tensor) -> Tensor:
        """Network `number`'s part of a wide tensor, a view; `like` is the tensor that it has there by itself."""
        return of_network(wide, number, self.num_networks, like.shape)


def removed_together(wide: SideBySide, trainees: Sequence[Trainee]) -> Removed:
    """Weights of the wide network that are set to zero after every step: removed ones and padding."""
    removed = []
    for trainee in trainees:
        names = {id(parameter): name for name, parameter in trainee.model.named_parameters()}
        removed.append({names[id(weight)]: gone for weight, gone in trainee.removed})
    found = []
    for name, weight in wide.layers.named_parameters(prefix="layers"):
        if weight.dim() > 1:
            own = [trainee.model.get_parameter(name) for trainee in trainees]
            gone = stacked(
                [
                    known.get(name, torch.zeros_like(one, dtype=torch.bool))
                    for known, one in zip(removed, own, strict=True)
                ],
                padding=True,
            )
            if gone.any():
                found.append((weight, gone))
    return found


def optimizer_together(wide: SideBySide, trainees: Sequence[Trainee], config: TrainingConfig) -> torch.optim.Optimizer:
    """The optimizer of all, which knows what each network's own knows."""
    optimizer = build_optimizer(wide.parameters(), config)
    for group in optimizer.param_groups:
        group["fused"] = True
    for name, parameter in wide.named_parameters():
        known = [_known(trainee, name) for trainee in trainees]
        for key in dict.fromkeys(key for _, state in known for key in state):
            example = next(state[key] for _, state in known if key in state)
            tensors = [state.get(key, _nothing(example, own)) for own, state in known]
            optimizer.state[parameter][key] = as_laid_out(stacked(tensors), parameter)
    return optimizer


@torch.no_grad()
def hand_back(wide: SideBySide, optimizer: torch.optim.Optimizer, trainees: Sequence[Trainee]) -> None:
    """Put what training has made of the wide network into each network and its optimizer."""
    tensors = {name: tensor for name, tensor in wide.state_dict().items() if _is_trained(name)}
    parameters = dict(wide.named_parameters())
    for number, trainee in enumerate(trainees):
        for name, own in trainee.model.state_dict().items():
            if _is_trained(name):
                own.copy_(wide.own(tensors[name], number, own))
        for name, parameter in trainee.model.named_parameters():
            for key, known in optimizer.state.get(parameters[name], {}).items():
                part = known if not known.dim() else wide.own(known, number, parameter)
                trainee.optimizer.state[parameter][key] = as_laid_out(part, parameter)


def _is_trained(name: str) -> bool:
    """Whether a tensor of a network's state changes in training: indices of units do not, and forwards are counted."""
    return not re.fullmatch(r"layers\.index_\d+|num_forwards", name)


def _known(trainee: Trainee, name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """A network's parameter, without entries where it has none, and what its optimizer knows of it."""
    parameter = dict(trainee.model.named_parameters()).get(name)
    if parameter is None:
        return torch.empty(0), {}
    state = trainee.optimizer.state.get(parameter, {})
    return parameter, {key: tensor for key, tensor in state.items() if isinstance(tensor, Tensor)}


def _nothing(example: Tensor, own: Tensor) -> Tensor:
    """What an optimizer knows of a parameter that is not there, or that it has not seen."""
    return (
        example
        if not example.dim()
        else example.new_zeros(own.shape if own.dim() == example.dim() else example[:0].shape)
    )
