"""The weights that iterative pruning has left, in one buffer beside their scores, and the removal of the lowest.

A round costs a few passes over everything that is stored, so they are made while a part is in the cache: the product of
weight and gradient, its sum, and the search for what may have to go. That is found below a ceiling, a quantile of a
sample of the scores somewhat above the cut, so that only a little more than what is removed is ever looked at by its
place, and only what lies about the cut is ordered. If the sample was unlike the whole, every weight is a candidate:
slower, the same result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

_SAMPLE = 2**14
"""Scores that floor and ceiling are estimated from."""

_CHUNK = 2**16
"""Numbers that several passes are made over while they are in the cache: 512 KiB of float64."""

_WORTH_MOVING = 0.9
"""Compact where this part of what is stored, or less, would be left: it costs as much as several rounds' passes."""


class StoredLayer:
    """A prunable weight of a linear view, of which only rows and columns with a kept weight are stored.

    `weight`, `scores` and `alive` are views of `StoredWeights`' buffers: (outputs, inputs x taps) once compacted.
    """

    def __init__(self, name: str, weight: nn.Parameter) -> None:
        self.name = name
        self.weight = weight
        self.full_shape = weight.shape
        self.num_kept = weight.numel()
        self.start = 0
        self.scores = self.alive = weight.detach()
        self.score_sum = self.score_cut = 0.0
        """Sums of the last round's scores: of all live weights, and of those that it removed."""
        self.rows = torch.arange(weight.shape[0], device=weight.device)
        self.columns = torch.arange(weight.shape[1:].numel(), device=weight.device)
        self.shrinks = False
        """Whether whoever reads the weight knows of `rows` and `columns`."""
        self.has_gradient = False

    def receive(self, gradient: Tensor, columns: Tensor) -> None:
        """Add one call's share to the weight's gradient, which is gathered where the scores will be."""
        into = self.scores.flatten(1)
        if self.has_gradient:
            into.addmm_(gradient, columns.t())
        else:
            torch.mm(gradient, columns.t(), out=into)
        self.has_gradient = True

    def finish_scores(self, ceiling: float) -> tuple[Tensor, Tensor]:
        """Turn the gradient into |weight x gradient|. Returns places and scores of live weights up to `ceiling`.

        Raises ValueError where a score is not finite.
        """
        if not self.has_gradient:
            self.scores.zero_()
        sums, low = [], []
        flat = self.weight.detach().view(-1), self.scores.view(-1), self.alive.view(-1)
        for start in range(0, self.scores.numel(), _CHUNK):
            weights, scores, alive = (tensor[start : start + _CHUNK] for tensor in flat)
            scores.mul_(weights).abs_()
            sums.append(scores.sum(dtype=torch.float64))
            low.append(_up_to(ceiling, scores, alive, start))
        self.score_sum = float(torch.stack(sums).sum())
        if not math.isfinite(self.score_sum):
            num_bad = int((~self.scores.isfinite()).sum())
            raise ValueError(
                f"the flow's score is not finite for {num_bad} of {self.num_kept} weights of {self.name}: "
                "score in float64 (score_dtype: float64), or look for weights that are not finite"
            )
        places, values = zip(*low, strict=True)
        return torch.cat(places), torch.cat(values)

    def remove(self, places: Tensor, scores: Tensor) -> None:
        """Set the weights at `places` to zero. Masks are nested, so they are never needed again."""
        self.num_kept -= len(places)
        self.score_cut = float(scores.sum(dtype=torch.float64))
        self.alive.view(-1).index_fill_(0, places, False)
        self.weight.detach().view(-1).index_fill_(0, places, 0.0)

    def rows_and_columns_in_use(self) -> tuple[Tensor, Tensor]:
        """Positions among those stored. An empty layer keeps one dead weight, because kernels want a shape."""
        if not self.shrinks:
            return self.rows, self.columns
        alive = self.alive.flatten(1).view(torch.uint8)  # whose maximum takes a hundredth of any()'s time
        rows, columns = alive.amax(1).nonzero().flatten(), alive.amax(0).nonzero().flatten()
        return (rows, columns) if len(rows) else (rows.new_zeros(1), columns.new_zeros(1))

    def expanded(self, stored: Tensor) -> Tensor:
        """A stored tensor in the weight's full shape: zeros where rows and columns were given up."""
        full = stored.new_zeros(self.full_shape[0], self.full_shape[1:].numel())
        full[self.rows[:, None], self.columns] = stored.flatten(1)
        return full.view(self.full_shape)


class StoredWeights:
    """The weights of all layers, one after the other in one buffer, as are their scores and whether they are alive."""

    def __init__(self, layers: Sequence[StoredLayer]) -> None:
        self.layers = layers
        self.weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
        self.scores = torch.empty_like(self.weights)
        self.alive = torch.ones_like(self.weights, dtype=torch.bool)
        self._hand_out([layer.full_shape for layer in layers])

    @property
    def num_kept(self) -> int:
        """Weights alive, over all layers."""
        return sum(layer.num_kept for layer in self.layers)

    def _hand_out(self, shapes: Sequence[torch.Size]) -> None:
        ends = list(accumulate((shape.numel() for shape in shapes), initial=0))
        for layer, shape, (start, end) in zip(self.layers, shapes, pairwise(ends), strict=True):
            layer.start = start
            layer.weight.data = self.weights[start:end].view(shape)
            layer.scores = self.scores[start:end].view(shape)
            layer.alive = self.alive[start:end].view(shape)

    def compact(self) -> None:
        """Give up rows and columns without a live weight, where that saves enough."""
        in_use = [layer.rows_and_columns_in_use() for layer in self.layers]
        shapes = [
            torch.Size([len(rows), len(columns)]) if layer.shrinks else layer.weight.shape
            for layer, (rows, columns) in zip(self.layers, in_use, strict=True)
        ]
        size = sum(shape.numel() for shape in shapes)
        if size > _WORTH_MOVING * len(self.weights):
            return
        start = 0
        for layer, (rows, columns) in zip(self.layers, in_use, strict=True):
            places = (rows[:, None] * len(layer.columns) + columns).flatten() + layer.start
            for buffer in (self.weights, self.alive):  # in place: this never reaches the layers still to be moved
                buffer[start : start + len(places)] = buffer.index_select(0, places)
            layer.rows, layer.columns = layer.rows[rows], layer.columns[columns]
            start += len(places)
        self.weights, self.alive, self.scores = self.weights[:size], self.alive[:size], self.scores[:size]
        self._hand_out(shapes)

    def keep_highest(self, layers: Sequence[StoredLayer], num_kept: int) -> None:
        """Finish the scores of adjacent `layers` and remove all but the `num_kept` highest, the earlier of equals.

        Raises ValueError where fewer are alive, and naming the layer where a score is not finite.
        """
        num_alive = sum(layer.num_kept for layer in layers)
        num_removed = num_alive - num_kept
        if num_removed < 0:
            raise ValueError(f"{num_kept} weights are to be kept but only {num_alive} are alive")
        span = slice(layers[0].start, layers[-1].start + layers[-1].weight.numel())
        floor, ceiling = self._bracket(span, num_removed / max(num_alive, 1))
        low = [layer.finish_scores(ceiling) for layer in layers]
        if sum(len(places) for places, _ in low) < num_removed:
            low = [_up_to(math.inf, layer.scores.view(-1), layer.alive.view(-1)) for layer in layers]
        removed = _lowest(torch.cat([values for _, values in low]), num_removed, floor)
        parts = removed.split([len(places) for places, _ in low])
        for layer, (places, values), part in zip(layers, low, parts, strict=True):
            found = _places(part)
            layer.remove(places.index_select(0, found), values.index_select(0, found))

    def _bracket(self, span: slice, part_removed: float) -> tuple[float, float]:
        """Two scores, from a sample of the unfinished ones, that the cut for this part of live weights lies between.

        The sample may be unlike the whole: whoever uses them must make sure.
        """
        if part_removed == 0:
            return -math.inf, -math.inf
        size = span.stop - span.start
        if size < 4 * _SAMPLE:
            return -math.inf, math.inf
        # Multiples of an odd constant, modulo the size: a plain stride would meet the same tap of every kernel.
        places = torch.arange(_SAMPLE, device=self.weights.device) * 0x9E3779B1 % size + span.start
        places = places[self.alive[places]]
        sample = (self.weights[places] * self.scores[places]).abs().sort().values
        rank = part_removed * len(sample)
        margin = 4.5 * (rank * (1 - part_removed)) ** 0.5 + 6
        floor = float(sample[int(rank - margin)]) if rank >= margin else -math.inf
        ceiling = float(sample[int(rank + margin)]) if rank + margin < len(sample) else math.inf
        return floor, ceiling


def _up_to(ceiling: float, scores: Tensor, alive: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
    """Places, counted from `start`, and scores of live weights up to `ceiling`. Flat tensors of one length."""
    places = _places((scores <= ceiling).logical_and_(alive))
    return places + start, scores.index_select(0, places)


def _lowest(scores: Tensor, count: int, floor: float) -> Tensor:
    """Mask of the `count` lowest scores, of equals the later: what `pruning.masks.keep_k_highest` does not keep.

    Only scores from `floor` on are ordered, a guess at something below the cut.
    """
    lowest = torch.ones_like(scores, dtype=torch.bool)
    if count in (0, len(scores)):
        return lowest.fill_(count > 0)
    unsure = _places(scores >= floor)
    rank = count - (len(scores) - len(unsure))
    if rank <= 0:  # the guess was wrong
        unsure, rank = torch.arange(len(scores), device=scores.device), count
    values = scores.index_select(0, unsure)
    cut = values.kthvalue(rank).values
    ties = _places(values == cut)
    num_ties_kept = len(ties) - rank + int((values < cut).count_nonzero())
    kept = torch.cat([_places(values > cut), ties[:num_ties_kept]])
    return lowest.index_fill_(0, unsure.index_select(0, kept), False)


def _places(mask: Tensor) -> Tensor:
    """Positions of the True entries of a flat mask."""
    if mask.device.type == "cpu":
        return torch.from_numpy(mask.numpy().nonzero()[0])  # takes half of torch's time
    return mask.nonzero().flatten()
