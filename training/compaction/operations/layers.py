"""Convolutions, linear layers and BatchNorm: the operations that hold parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from training.compaction.operations.contract import NotUnderstood, Operation, Part
from training.compaction.parts import BiasAlone, ConstantBatchNorm

if TYPE_CHECKING:
    from training.compaction.build import Builder

_SELECT_SAVES = 24
"""Multiplications a position that leaving out units must save for each unit copied to leave them out or put them in."""


class Weighted(Operation):
    """A convolution or linear layer with its mask."""

    def __init__(
        self,
        node: fx.Node,
        sources: list[fx.Node],
        shape: tuple[int, ...],
        layer: nn.Conv2d | nn.Linear,
        mask: Tensor,
    ) -> None:
        super().__init__(node, sources, shape)
        self.name = str(node.target)
        self.layer = layer
        self.mask = mask
        self.groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        self.reads = mask.flatten(2).any(2) if mask.dim() > 2 else mask
        """(units of the result, units of one group of the source): whether any weight is kept."""
        if self.groups > 1:
            self.reads = self._ungrouped(self.reads)
        if layer.bias is not None:
            self.zero_offset = layer.bias.detach() == 0

    def _ungrouped(self, reads: Tensor) -> Tensor:
        rows, columns = reads.shape
        per_group = rows // self.groups
        full = torch.zeros(rows, columns * self.groups, dtype=torch.bool, device=reads.device)
        for group in range(self.groups):
            block = slice(group * per_group, (group + 1) * per_group)
            full[block, group * columns : (group + 1) * columns] = reads[block]
        return full

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """No kept weight from anything but zeros, and no bias or one that stays zero."""
        unfed = ~self.reads[:, ~zero_in[0]].any(1)
        return unfed if self.zero_offset is None else unfed & self.zero_offset

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Without a kept weight into any other unit."""
        return [~self.reads[~out].any(0)]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """What the wanted units have kept weights from, except zeros."""
        return [self.reads[wanted].any(0) & ~zero_in[0]]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """The wanted rows of the weight, and the columns of what is there."""
        if not wanted.any():
            return None
        rows = wanted.nonzero().flatten()
        part = parts[0]
        needed = self.reads[wanted].any(0)
        if part is not None:
            needed[~_among(part.units, len(needed))] = False
            if build.every_layer and not needed.any():
                needed[part.units[0]] = True
        if part is None or not needed.any():
            return self._constant(build, rows)
        if self.groups > 1:
            return self._emit_groups(build, part, needed, wanted)
        part = self._without_unread(build, part, needed, len(rows))
        rows = self._without_unfed(rows, needed, len(part.units))
        layer = self._shrunk(build, rows, part.units, groups=1)
        return Part(build.module(self.name, layer, part.node), rows, part.varies, is_fresh=True)

    def _without_unread(self, build: Builder, part: Part, needed: Tensor, num_rows: int) -> Part:
        units = needed.nonzero().flatten()
        taps = self.mask[0, 0].numel()
        saved = num_rows * taps * (len(part.units) - len(units))
        return build.select(part, units) if saved > _SELECT_SAVES * (len(part.units) + len(units)) else part

    def _without_unfed(self, rows: Tensor, needed: Tensor, num_columns: int) -> Tensor:
        """Rows of zeros that somebody wants are left to be put in by whoever reads them, where that saves more."""
        if self.layer.bias is not None:
            return rows
        fed = rows[self.reads[rows][:, needed].any(1)]
        if not len(fed):
            return rows[:1]
        saved = (len(rows) - len(fed)) * self.mask[0, 0].numel() * num_columns
        return fed if saved > _SELECT_SAVES * (len(rows) + len(fed)) else rows

    def _constant(self, build: Builder, rows: Tensor) -> Part:
        """Nothing feeds the wanted units: what is left is the bias, or zeros that somebody asked for."""
        if self.layer.bias is None:
            return build.zeros(rows, self.shape[1:])
        bias = BiasAlone(build.share(f"{self.name}.bias", rows), self.shape[1:])
        build.slot(f"{self.name}.bias", (rows,))
        return Part(build.module(self.name, bias), rows, varies=False)

    def _emit_groups(self, build: Builder, part: Part, needed: Tensor, wanted: Tensor) -> Part:
        """Groups stay of one size: of each that is wanted, the positions that any of them uses."""
        by_group, rows_by_group = needed.view(self.groups, -1), wanted.view(self.groups, -1)
        groups = rows_by_group.any(1).nonzero().flatten()
        columns = by_group[groups].any(0).nonzero().flatten()
        if not len(columns):  # only where every layer stays
            columns = columns.new_zeros(1)
        rows_inside = rows_by_group[groups].any(0).nonzero().flatten()
        source_units = (groups[:, None] * by_group.shape[1] + columns).flatten()
        rows = (groups[:, None] * rows_by_group.shape[1] + rows_inside).flatten()
        layer = self._shrunk(build, rows, columns, groups=len(groups))
        source = build.aligned(part, source_units)
        return Part(build.module(self.name, layer, source.node), rows, part.varies, is_fresh=True)

    def _shrunk(self, build: Builder, rows: Tensor, columns: Tensor, groups: int) -> nn.Module:
        old = self.layer
        has_bias = old.bias is not None
        if isinstance(old, nn.Linear):
            new: nn.Module = nn.utils.skip_init(nn.Linear, len(columns), len(rows), bias=has_bias)
        else:
            new = nn.utils.skip_init(
                nn.Conv2d,
                len(columns) * groups,
                len(rows),
                kernel_size=old.kernel_size,
                stride=old.stride,
                padding=old.padding,
                dilation=old.dilation,
                groups=groups,
                bias=has_bias,
            )
        name = f"{self.name}.weight"
        new.weight = build.share(name, rows, columns, mask=self.mask)
        build.slot(name, (rows[:, None], columns[None, :]))
        build.masks[name] = self.mask[rows][:, columns]
        if has_bias:
            new.bias = build.share(f"{self.name}.bias", rows)
            build.slot(f"{self.name}.bias", (rows,))
        return new


class BatchNorm(Operation):
    """BatchNorm with running statistics, or without."""

    def __init__(
        self, node: fx.Node, sources: list[fx.Node], shape: tuple[int, ...], norm: nn.BatchNorm1d | nn.BatchNorm2d
    ) -> None:
        super().__init__(node, sources, shape)
        self.name = str(node.target)
        self.norm = norm
        if norm.running_mean is not None and norm.momentum is None:
            raise NotUnderstood(f"{self.name}: BatchNorm that averages its statistics over all steps (momentum=None)")
        size = self.num_units
        like = norm.weight if norm.affine else norm.running_mean
        always = torch.ones(size, dtype=torch.bool, device=None if like is None else like.device)
        self.zero_mean = always if norm.running_mean is None else norm.running_mean == 0
        if norm.affine:
            self.zero_offset = norm.bias.detach() == 0

    def zero(self, zero_in: list[Tensor]) -> Tensor:
        """Of a zero it makes its offset in train mode; in eval mode also the running mean shows."""
        zero = zero_in[0] & self.zero_mean
        return zero if self.zero_offset is None else zero & self.zero_offset

    def irrelevant(self, out: Tensor) -> list[Tensor]:
        """Unit by unit: statistics are of one channel."""
        return [out]

    def demand(self, wanted: Tensor, zero_in: list[Tensor]) -> list[Tensor]:
        """The same units, zeros as well: their offsets train."""
        return [wanted]

    def emit(self, build: Builder, parts: list[Part | None], wanted: Tensor) -> Part | None:
        """BatchNorm over the wanted units, or over all that are there where copying costs more than it saves."""
        if not wanted.any():
            return None
        part = build.few(parts[0], wanted.nonzero().flatten(), self.shape[1:])
        units, old = part.units, self.norm
        kind = type(old) if part.varies else ConstantBatchNorm
        new = kind(
            len(units),
            eps=old.eps,
            momentum=old.momentum,
            affine=old.affine,
            track_running_stats=old.track_running_stats,
        )
        if old.affine:
            for name in ("weight", "bias"):
                setattr(new, name, build.share(f"{self.name}.{name}", units))
                build.slot(f"{self.name}.{name}", (units,))
        if old.running_mean is not None:
            for name in ("running_mean", "running_var"):
                setattr(new, name, getattr(old, name).detach()[units].clone())
                build.slot(f"{self.name}.{name}", (units,))
        arguments = (part.node,) if part.varies else (part.node, build.num_images)
        return Part(build.module(self.name, new, *arguments), units, part.varies, is_fresh=True)


def _among(units: Tensor, num_units: int) -> Tensor:
    found = torch.zeros(num_units, dtype=torch.bool, device=units.device)
    found[units] = True
    return found
