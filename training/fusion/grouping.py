"""Which networks are trained side by side, and how many at a time.

Networks of one signature and recipe can be; those of like size should be, for all are padded to the largest. How many
pay off is tried out: a few steps of two, four, eight of them, against one, until a step a network is no faster, or a
GPU has no memory for more. What a trial is computed beside changes the order of additions in it and nothing else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from training.fusion.reading import Reading
from training.fusion.together import Together
from training.loop import Training

if TYPE_CHECKING:
    from training.journey import Journey

PADDING = 1.5
"""Multiplications that a network may take in a group, as a multiple of those that it takes by itself."""
GAIN = 1.05
"""How many times faster a step of each network has to be for more of them to be taken together."""
TRIED_SECONDS = 0.1
"""Time to take steps for, of each number tried; two steps at least."""


@dataclass(frozen=True)
class Candidate:
    """A trial whose network could be trained beside others."""

    journey: Journey
    training: Training
    """Of the stretch that the trial is in, begun."""
    reading: Reading
    stop_step: int
    """Where that stretch ends."""

    @property
    def kind(self) -> tuple[object, ...]:
        """Networks of one kind can be trained together."""
        training = self.training
        clock = (training.step, self.stop_step, training.level)
        return self.reading.signature, training.config, clock, id(training.dataset)


class Paces:
    """How many networks of a kind to train at a time, where that was tried out before."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], int] = {}

    def number(self, group: Sequence[Candidate]) -> int:
        """For networks like these, to within a fifth of their size; tried out where so many were not there before."""
        size = round(math.log(max(1, group[0].reading.num_multiplications), 1.2))
        key = (group[0].reading.signature, group[0].training.config, size, len(group))
        if key not in self._known:
            self._known[key] = fastest_number(group)
        return self._known[key]


def groups_of(candidates: Sequence[Candidate], paces: Paces) -> Iterator[list[Candidate]]:
    """Candidates that fit together, in groups; a group of one is trained by itself."""
    kinds: dict[tuple[object, ...], list[Candidate]] = {}
    for candidate in candidates:
        kinds.setdefault(candidate.kind, []).append(candidate)
    for of_one_kind in kinds.values():
        for alike in _of_like_size(of_one_kind):
            yield from _even_parts(alike, paces.number(alike))


def fastest_number(group: Sequence[Candidate]) -> int:
    """How many of `group` to train at a time, by steps that are taken and forgotten.

    So many do not fit where a step of them raises; what raises for one alone, its trial will say.
    """
    best, fastest, count = 1, float("inf"), 1
    while True:
        memory = _GpuMemory(group[0].training.dataset.train.labels.device)
        try:
            seconds = _seconds_a_network(group[:count])
        except (Exception, SystemExit):
            return best
        if seconds * GAIN > fastest:
            return best
        best, fastest = count, seconds
        if count == len(group) or not memory.has_room_for(2):
            return best
        count = min(2 * count, len(group))


def _seconds_a_network(group: Sequence[Candidate]) -> float:
    """Of a step, for each network of a group; none of them is changed."""
    together = Together([one.training for one in group], [one.reading for one in group])
    training = group[0].training
    batch = next(training.batches(training.step + 1))
    batches = [batch] * (1 if together.shares_images else len(group))
    together.take_step(batches, training.next_rate())
    num_steps, start = 0, _now()
    while num_steps < 2 or _now() - start < TRIED_SECONDS:
        together.take_step(batches, training.next_rate())
        num_steps += 1
    return (_now() - start) / num_steps / len(group)


def _now() -> float:
    """Seconds, once a GPU's queue has drained."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


class _GpuMemory:
    """What is taken from a GPU from here on, against what is free there; a CPU's is not counted."""

    def __init__(self, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        if self._device:
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)

    def has_room_for(self, times: float) -> bool:
        """Whether so many times the most that was taken since the start would have been there."""
        if not self._device:
            return True
        taken = torch.cuda.max_memory_allocated(self._device) - self._before
        unused = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return times * taken < torch.cuda.mem_get_info(self._device)[0] + unused


def _of_like_size(of_one_kind: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Largest first, each with as many smaller ones as are worth padding to it."""
    group: list[Candidate] = []
    for candidate in sorted(of_one_kind, key=lambda one: -one.reading.num_multiplications):
        if group and _padded([*group, candidate]) > PADDING * candidate.reading.num_multiplications:
            yield group
            group = []
        group.append(candidate)
    if group:
        yield group


def _padded(group: Sequence[Candidate]) -> int:
    """Multiplications of each network of a group, every layer as wide as the widest."""
    layers = zip(*(one.reading.multiplications for one in group), strict=True)
    return sum(
        positions[0] * max(rows) * max(columns)
        for positions, rows, columns in (zip(*layer, strict=True) for layer in layers)
    )


def _even_parts(group: list[Candidate], most: int) -> Iterator[list[Candidate]]:
    """`group` in as few parts as can be, of at most so many, as even as can be."""
    num_parts = -(-len(group) // most)
    for part in range(num_parts):
        yield group[part * len(group) // num_parts : (part + 1) * len(group) // num_parts]
