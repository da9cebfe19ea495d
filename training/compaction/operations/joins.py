"""Operations that join tensors or rename their units: sums, products, concatenation, flattening, padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from training.compaction.operations.contract import Operation, Part
from training.compaction.parts import concatenated

if TYPE_CHECKING:
    from training.compaction.build import Builder


class Sum(Operation):
    """Two tensors of one shape added: a unit exists if either addend's does."""

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """Where both are."""
        return zero_in[0] & zero_in[1]

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Both alike."""
        return [out, out]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """What an addend has; all that is wanted if it has half of it: rows of zeros cost less than aligning."""
        return [wanted if 2 * int((wanted & ~zero).sum()) >= int(wanted.sum()) else wanted & ~zero for zero in zero_in]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """The sum over the wanted units; a single example is added to every image."""
        if not wanted.any():
            return None
        units = wanted.nonzero().flatten()
        present = [part for part in parts if part is not None and (build.every_layer or wanted[part.units].any())]
        if not present:
            return build.zeros(units, self.shape[1:])
        if len(present) == 1:
            return replace(build.aligned(present[0], units), is_fresh=False)
        first, second = (build.aligned(part, units) for part in present)
        return Part(build.call(torch.add, first.node, second.node), units, first.varies or second.varies, is_fresh=True)


class Product(Operation):
    """Two tensors multiplied unit by unit, positions broadcast (squeeze-and-excitation)."""

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """Where either is."""
        return zero_in[0] | zero_in[1]

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Both alike."""
        return [out, out]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """Both alike."""
        return [wanted, wanted]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """The product over the wanted units."""
        if not wanted.any():
            return None
        units = wanted.nonzero().flatten()
        first, second = (
            build.few(part, units, build.shape_of(source)[1:], exactly=True)
            for part, source in zip(parts, self.sources, strict=True)
        )
        return Part(build.call(torch.mul, first.node, second.node), units, first.varies or second.varies, is_fresh=True)


class Concatenation(Operation):
    """Tensors side by side along their units."""

    def __init__(self, node: fx.Node, sources: list[fx.Node], shape: tuple[int, ...], sizes: list[int]) -> None:
        super().__init__(node, sources, shape)
        self.sizes = sizes

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """Side by side."""
        return torch.cat(zero_in)

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Each its share."""
        return list(out.split(self.sizes))

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """Each its share, except zeros."""
        return [share & ~zero for share, zero in zip(wanted.split(self.sizes), zero_in, strict=True)]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """All units that are there, also those that only others read: leaving them out would cost a copy."""
        starts = [0, *torch.tensor(self.sizes).cumsum(0).tolist()[:-1]]
        present = [(part, start) for part, start in zip(parts, starts, strict=True) if part is not None]
        if not present:
            return build.zeros(wanted.nonzero().flatten(), self.shape[1:]) if wanted.any() else None
        units = torch.cat([part.units + start for part, start in present])
        varies = any(part.varies for part, _ in present)
        if len(present) == 1:
            return Part(present[0][0].node, units, varies)
        nodes = [part.node for part, _ in present]
        node = build.call(concatenated, nodes, build.num_images) if varies else build.call(torch.cat, nodes, 1)
        return Part(node, units, varies, is_fresh=True)


class Flatten(Operation):
    """(n, c, h, w) to (n, c h w): a unit becomes one for each position."""

    def __init__(self, node: fx.Node, sources: list[fx.Node], shape: tuple[int, ...], num_channels: int) -> None:
        super().__init__(node, sources, shape)
        self.num_channels = num_channels
        self.num_positions = shape[0] // num_channels

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """A zero at every position."""
        return zero_in[0].repeat_interleave(self.num_positions)

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """At every position."""
        return [out.view(self.num_channels, -1).all(1)]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """Wanted at any position."""
        return [wanted.view(self.num_channels, -1).any(1)]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """Every position of what is there."""
        part = parts[0]
        if part is None:
            return build.zeros(wanted.nonzero().flatten(), ()) if wanted.any() else None
        positions = torch.arange(self.num_positions, device=part.units.device)
        units = (part.units[:, None] * self.num_positions + positions).flatten()
        return Part(build.call(torch.flatten, part.node, 1), units, part.varies)


class Slice(Operation):
    """Indexing of positions, all units kept: x[:, :, ::2, ::2]."""

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """Unit by unit."""
        return zero_in[0]

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Unit by unit."""
        return [out]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """Unit by unit."""
        return [wanted]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """The same slices of what is there."""
        if not wanted.any():
            return None
        part = build.few(parts[0], wanted.nonzero().flatten(), build.shape_of(self.sources[0])[1:])
        function: Callable[..., Any] = self.node.target  # type: ignore[assignment]
        return Part(build.call(function, part.node, self.node.args[1]), part.units, part.varies)


class PadUnits(Operation):
    """Zero padding of (n, c, h, w), of positions and of units (a shortcut without parameters)."""

    def __init__(self, node: fx.Node, sources: list[fx.Node], shape: tuple[int, ...], padding: list[int]) -> None:
        super().__init__(node, sources, shape)
        self.position_padding = padding[:4]
        before, after = ([*padding, 0, 0])[4:6] if len(padding) > 4 else (0, 0)
        self.inner = slice(before, self.num_units - after)

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """The new units, and the old zeros."""
        zero = torch.ones(self.num_units, dtype=torch.bool, device=zero_in[0].device)
        zero[self.inner] = zero_in[0]
        return zero

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """The old units."""
        return [out[self.inner]]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """The old units, except zeros."""
        return [wanted[self.inner] & ~zero_in[0]]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """Units by renaming, positions by padding. New units stay absent: whoever needs them aligns."""
        part = parts[0]
        if part is None:
            return build.zeros(wanted.nonzero().flatten(), self.shape[1:]) if wanted.any() else None
        units = part.units + self.inner.start
        if not any(self.position_padding):
            return Part(part.node, units, part.varies)
        return Part(build.call(F.pad, part.node, self.position_padding), units, part.varies, is_fresh=True)
