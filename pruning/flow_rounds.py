"""All rounds of SynFlow on one linear view: the same masks as scoring round by round, several times faster.

The straightforward loop copies the network, takes absolute values, builds full-size scores and sorts out what is alive
among all of them, every round. Here the view is made once and only its weights shrink:

- scores are written into one buffer that is reused, and the k-th highest is found between two quantiles of a sample;
- a removed weight is set to zero in the view itself; since masks are nested it is never needed again;
- once enough is gone, each layer gives up the rows and columns of its matrix without a kept weight: output channels,
  and taps of input channels. This is local to a layer: it reads what it still needs and writes zeros for the channels
  that it lost, so it is right in any architecture, and activations (0.3 million numbers for VGG-16 at 32x32, against
  14.7 million weights) keep their shape. What is kept but unreachable scores zero and is removed in the next round.

Measured by `python -m benchmarks.scoring`. Sums run over fewer terms than in the full layer, so scores agree to
rounding, not bit for bit: masks are identical unless two scores at a cut are equal to 1e-14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeGuard, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning.density import kept_count
from pruning.linear_view import synaptic_flow
from pruning.masks import keep_k_highest
from pruning.prunable import prunable_weights
from pruning.prune import Pruned, Round
from pruning.scaled import fits, scaled, times_power_of_two, value_and_exponent

_COMPACT_BELOW = 0.7
"""Compact when a round leaves less than this part of the weights that were alive at the last compaction."""

_SAMPLE = 2**16
"""Scores that the search for the k-th highest looks at first."""

_CHUNK = 2**17
"""Numbers that several passes are made over while they are in the cache: 1 MiB of float64."""

_FEW_POSITIONS = 64
"""Up to this many, a weight's product with them is faster as the transpose of the transposed product."""


def prune_by_flow(view: nn.Module, inputs: Tensor, densities: Sequence[Decimal], scope: str = "global") -> Pruned:
    """Prune a linear view by flow through each weight, |theta dR/dtheta|, once for each density after a round.

    `view` is used up: its weights are what is ranked (`to_linear_view` makes it of absolute values) and are changed.
    Same result as `pruning.prune.prune` with SynFlow's score, except for rounding. Raises ValueError for an unknown
    scope, where no weight would be left, and naming the layer where a score is not finite.
    """
    if scope not in ("global", "local"):
        raise ValueError(f"scope {scope!r}: expected 'global' or 'local'")
    layers = {name: _Layer(name, weight) for name, weight in prunable_weights(view).items()}
    _attach_compactable_modules(view, inputs, layers)
    total = sum(layer.full_shape.numel() for layer in layers.values())
    _refuse_to_keep_none(layers, total, densities, scope)
    alive_when_compacted, kept, rounds = total, total, []
    buffer = torch.empty(total, dtype=inputs.dtype, device=inputs.device)
    for number, density in enumerate(densities, start=1):
        if kept < _COMPACT_BELOW * alive_when_compacted:
            alive_when_compacted = kept
            for layer in layers.values():
                layer.compact()
        exponent = _score_into(buffer, view, inputs, list(layers.values()))
        if scope == "local":
            for layer in layers.values():
                layer.keep(keep_highest_of_many(layer.scores.view(-1), layer.alive.view(-1), layer.target(density)))
        else:
            scores = buffer[: sum(layer.alive.numel() for layer in layers.values())]
            alive = torch.cat([layer.alive.view(-1) for layer in layers.values()])
            parts = keep_highest_of_many(scores, alive, kept_count(density, total)).split(
                [layer.alive.numel() for layer in layers.values()]
            )
            for layer, part in zip(layers.values(), parts, strict=True):
                layer.keep(part)
        kept = sum(layer.num_kept for layer in layers.values())
        rounds.append(
            Round.of(
                number,
                num_weights=total,
                layer_kept=[layer.num_kept for layer in layers.values()],
                layer_scores=[math.ldexp(layer.score_sum, exponent) for layer in layers.values()],
                score_cut=math.ldexp(sum(layer.score_cut for layer in layers.values()), exponent),
            )
        )
    return Pruned(
        masks={name: layer.expanded(layer.alive) for name, layer in layers.items()},
        scores={
            name: layer.expanded(times_power_of_two(layer.scores * layer.was_alive, exponent))
            for name, layer in layers.items()
        },
        rounds=rounds,
    )


class _Layer:
    """A prunable weight of the view, of which only rows and columns with a kept weight are stored."""

    def __init__(self, name: str, weight: nn.Parameter) -> None:
        self.name = name
        self.weight = weight
        weight.data = weight.data.contiguous()  # so that flat positions are those of the scores
        self.full_shape = weight.shape
        self.alive = torch.ones(weight.shape, dtype=torch.bool, device=weight.device)
        self.was_alive = self.alive
        self.num_kept = weight.numel()
        self.scores = weight.detach()
        self.score_sum = self.score_cut = 0.0
        self.rows = torch.arange(weight.shape[0], device=weight.device)
        self.columns = torch.arange(weight.shape[1:].numel(), device=weight.device)
        self.has_gradient = False
        self.module: _CompactLayer | None = None

    def target(self, density: Decimal) -> int:
        return kept_count(density, self.full_shape.numel())

    def keep(self, kept: Tensor) -> None:
        """Set every weight to zero that is not `kept`, and sum their scores."""
        removed = _places(self.alive.view(-1) ^ kept)
        self.was_alive, self.alive = self.alive, kept.view(self.alive.shape)
        self.num_kept -= len(removed)
        self.score_cut = float(self.scores.view(-1).index_select(0, removed).sum(dtype=torch.float64))
        self.weight.detach().view(-1).index_fill_(0, removed, 0.0)

    def receive(self, gradient: Tensor, columns: Tensor) -> None:
        """Add one call's share to the weight's gradient, which is gathered where the scores will be."""
        into = self.scores.flatten(1)
        if self.has_gradient:
            into.addmm_(gradient, columns.t())
        else:
            torch.mm(gradient, columns.t(), out=into)
        self.has_gradient = True

    def finish_scores(self) -> None:
        """Turn the gradient into |weight x gradient|. Raises ValueError where that is not finite."""
        if not self.has_gradient:
            self.scores.zero_()
        sums = []
        flat = self.weight.detach().view(-1), self.scores.view(-1)
        for weights, scores in zip(*(tensor.split(_CHUNK) for tensor in flat), strict=True):
            scores.mul_(weights).abs_()
            sums.append(scores.sum(dtype=torch.float64))
        self.score_sum = float(torch.stack(sums).sum())
        if not math.isfinite(self.score_sum):
            num_bad = int((~self.scores.isfinite()).sum())
            raise ValueError(
                f"SynFlow's score is not finite for {num_bad} of {self.num_kept} weights of {self.name}: "
                "score in float64 (score_dtype: float64), or look for weights that are not finite"
            )

    def compact(self) -> None:
        if self.module is None:
            return
        alive = self.alive.flatten(1)
        rows, columns = alive.any(1).nonzero().flatten(), alive.any(0).nonzero().flatten()
        if len(rows) == 0:  # an empty layer keeps one dead weight, because kernels want a shape
            rows = columns = torch.zeros(1, dtype=torch.long, device=alive.device)
        if len(rows) < len(self.rows) or len(columns) < len(self.columns):
            self.alive = alive[rows][:, columns].contiguous()
            self.weight = nn.Parameter(self.weight.detach().flatten(1)[rows][:, columns].contiguous())
            self.rows, self.columns = self.rows[rows], self.columns[columns]

    def expanded(self, stored: Tensor) -> Tensor:
        full = stored.new_zeros(self.full_shape[0], self.full_shape[1:].numel())
        full[self.rows[:, None], self.columns] = stored.flatten(1)
        return full.view(self.full_shape)


class _CompactLayer(nn.Module):
    """A 2d convolution without groups, or a linear layer, as a product with the rows and columns that are still stored.

    As one matrix product it can leave its weights' gradient in a buffer that is reused (a fresh one costs more in page
    faults than the product itself: 6.9 against 0.6 ms for 512 x 512 x 3 x 3 at 2x2) and take both other products in the
    order that is fast for few positions (0.8 against 1.9 ms forward, 1.1 against 4.7 ms backward).
    """

    def __init__(self, module: nn.Module, layer: _Layer) -> None:
        super().__init__()
        self.module = module
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        inputs, exponent = value_and_exponent(inputs)
        outputs = self._linear(inputs) if isinstance(self.module, nn.Linear) else self._convolution(inputs)
        return scaled(outputs, exponent)

    def _linear(self, inputs: Tensor) -> Tensor:
        layer = self.layer
        columns = inputs[..., layer.columns].flatten(0, -2).t()
        outputs = inputs.new_zeros(*inputs.shape[:-1], layer.full_shape[0])
        product: Tensor = _Product.apply(columns, layer)
        return outputs.index_copy(-1, layer.rows, product.t().reshape(*inputs.shape[:-1], len(layer.rows)))

    def _convolution(self, images: Tensor) -> Tensor:
        layer, conv = self.layer, cast(nn.Conv2d, self.module)
        options = (conv.kernel_size, conv.dilation, cast(tuple[int, ...], conv.padding), conv.stride)
        height, width = (
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, dilation, padding, stride in zip(images.shape[2:], *options, strict=True)
        )
        columns = F.unfold(images, *options).transpose(0, 1).flatten(1)
        if len(layer.columns) < len(columns):
            columns = columns.index_select(0, layer.columns)
        product: Tensor = _Product.apply(columns, layer)
        product = product.unflatten(1, (len(images), height, width)).transpose(0, 1)
        if len(layer.rows) == layer.full_shape[0]:
            return product
        outputs = product.new_zeros(len(images), layer.full_shape[0], height, width)
        return outputs.index_copy(1, layer.rows, product)


class _Product(torch.autograd.Function):
    """weight @ columns, (outputs, inputs x taps) @ (inputs x taps, positions)."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor, layer: _Layer) -> Tensor:
        ctx.save_for_backward(columns)
        ctx.layer = layer
        weight = layer.weight.detach().flatten(1)
        return (columns.t() @ weight.t()).t() if columns.shape[1] <= _FEW_POSITIONS else weight @ columns

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.layer.receive(gradient, ctx.saved_tensors[0])
        weight = ctx.layer.weight.detach().flatten(1)
        few = gradient.shape[1] <= _FEW_POSITIONS
        return (gradient.t() @ weight).t() if few else weight.t() @ gradient, None


def _attach_compactable_modules(view: nn.Module, inputs: Tensor, layers: dict[str, _Layer]) -> None:
    """Put a compactable layer in the place of each module that nothing but its own call reads the weight of."""
    by_weight = {id(layer.weight): layer for layer in layers.values()}
    owners: dict[int, set[int]] = {}
    for module in view.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(id(module))
    fed = _modules_fed(view, inputs)
    for parent in list(view.modules()):
        for name, child in list(parent._modules.items()):  # named_children() hides a second name
            if _is_one_product(child) and child in fed and len(owners[id(child.weight)]) == 1:
                layer = by_weight[id(child.weight)]
                layer.module = layer.module or _CompactLayer(child, layer)
                setattr(parent, name, layer.module)


def _is_one_product(module: nn.Module | None) -> TypeGuard[nn.Linear | nn.Conv2d]:
    if module is None or module._forward_hooks or module._forward_pre_hooks:
        return False
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) is nn.Linear


def _modules_fed(view: nn.Module, inputs: Tensor) -> set[nn.Module | None]:
    """Modules that the forward pass calls, rather than reading their weights itself, on what depends on the input."""
    fed: set[nn.Module | None] = set()

    def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        if given and isinstance(given[0], Tensor) and given[0].requires_grad:
            fed.add(module)

    handles = [module.register_forward_hook(note) for module in view.modules()]
    view(inputs.detach().requires_grad_())
    for handle in handles:
        handle.remove()
    return fed


def _score_into(buffer: Tensor, view: nn.Module, inputs: Tensor, layers: list[_Layer]) -> int:
    """Write each layer's scores into its part of `buffer`; return the power of two that they lack."""
    sizes = [layer.weight.numel() for layer in layers]
    parts = buffer[: sum(sizes)].split(sizes)
    for layer, part in zip(layers, parts, strict=True):
        layer.scores = part.view(layer.weight.shape)
        layer.has_gradient = False
    inputs = inputs.detach().requires_grad_()
    flow, exponent = synaptic_flow(view, inputs)
    others = [layer for layer in layers if layer.module is None]
    gradients = torch.autograd.grad(flow, [inputs, *(layer.weight for layer in others)], materialize_grads=True)
    for layer, gradient in zip(others, gradients[1:], strict=True):
        layer.scores.copy_(gradient)
        layer.has_gradient = True
    for layer in layers:
        layer.finish_scores()
    return exponent if fits(flow, exponent) else 0


def keep_highest_of_many(scores: Tensor, alive: Tensor, num_kept: int) -> Tensor:
    """`pruning.masks.keep_k_highest` where removed weights score zero and none scores less: same mask, faster.

    Two quantiles of a sample enclose the cut, so that only the few scores between them are ordered.
    """
    if num_kept == 0 or scores.numel() < 4 * _SAMPLE:
        return keep_k_highest(scores, alive, num_kept)
    # Multiples of an odd constant, modulo the length: a plain stride would meet the same tap of every kernel.
    places = torch.arange(_SAMPLE, device=scores.device) * 0x9E3779B1 % scores.numel()
    sample = scores[places].sort(descending=True).values
    rank = num_kept / scores.numel() * _SAMPLE
    margin = 4.5 * (rank * (1 - rank / _SAMPLE)) ** 0.5 + 6
    low = sample[int(rank + margin)] if rank + margin < _SAMPLE else scores.new_zeros(())
    low = low.clamp(min=torch.finfo(scores.dtype).tiny)  # zeros are most of what is removed, and never the cut
    high = sample[int(rank - margin)] if rank > margin else scores.new_full((), torch.inf)
    kept = torch.empty_like(alive)
    between = []
    for start, chunk, above in zip(
        range(0, scores.numel(), _CHUNK), scores.split(_CHUNK), kept.split(_CHUNK), strict=True
    ):
        torch.gt(chunk, high, out=above)
        between.append(_places((chunk >= low) ^ above) + start)
    places = torch.cat(between)
    candidates = scores.index_select(0, places)
    rank_among = num_kept - int(kept.count_nonzero())
    if not 0 < rank_among <= candidates.numel():  # the sample was not like the whole, or the cut is at zero
        return keep_k_highest(scores, alive, num_kept)
    kept[places] = keep_k_highest(candidates, torch.ones_like(places, dtype=torch.bool), rank_among)
    return kept


def _places(mask: Tensor) -> Tensor:
    """Positions of the True entries of a flat mask, most of them False: eight are looked at as one number first."""
    whole = mask.numel() // 8 * 8
    words = mask[:whole].view(torch.int64).nonzero().flatten()
    row, column = mask[:whole].view(-1, 8)[words].nonzero().unbind(1)
    return torch.cat([words[row] * 8 + column, mask[whole:].nonzero().flatten() + whole])


def _refuse_to_keep_none(layers: dict[str, _Layer], total: int, densities: Sequence[Decimal], scope: str) -> None:
    """As `pruning.masks.keep_highest` does, before any work."""
    ranked_together = total if scope == "global" else max(layer.full_shape.numel() for layer in layers.values())
    if kept_count(min(densities), ranked_together) == 0:
        raise ValueError(
            f"density {min(densities)} of {total} prunable weights leaves none: "
            f"with scope {scope!r} a weight is kept from density {1 / ranked_together:.3g} on"
        )
