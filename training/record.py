"""What a trial leaves behind: one record that becomes one row of `trials` and the rows of its child tables."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from pruning.prune import Round
from training.config import TrialConfig
from training.device import ExecutionClass
from training.evaluate import Metrics
from training.gpu_memory import GpuMemory

TRACEBACK_CHARACTERS = 4000
MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of training; validation metrics are None without a validation split."""

    level: int
    """Prunings that lie behind: 1 after pruning at initialisation, 0 before the first where training comes first."""
    epoch: int
    lr: float
    train_loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    validation_top5: float | None
    test_loss: float
    test_accuracy: float
    test_top5: float

    @classmethod
    def of(
        cls,
        *,
        level: int = 1,
        epoch: int,
        lr: float,
        train_loss: float,
        validation: Metrics | None,
        test: Metrics | None,
    ) -> EpochRecord:
        """The record of measured metrics. Raises ValueError for an empty test split."""
        if test is None:
            raise ValueError("the data set's test split is empty: nothing can be measured")
        return cls(
            level=level,
            epoch=epoch,
            lr=lr,
            train_loss=train_loss,
            validation_loss=validation.loss if validation else None,
            validation_accuracy=validation.accuracy if validation else None,
            validation_top5=validation.top5 if validation else None,
            test_loss=test.loss,
            test_accuracy=test.accuracy,
            test_top5=test.top5,
        )


@dataclass(frozen=True, kw_only=True)
class LayerRecord:
    """One prunable tensor after pruning, in the order of the network."""

    layer: str
    position: int
    """0 is the first prunable tensor."""
    num_weights: int
    kept: int
    live: int
    """Kept weights on a path from an input to an output."""
    score_sum: float | None
    """Sum of the last round's scores that were still alive when they were ranked; None where nothing was scored."""
    initial_score_sum: float | None
    """Sum of the first round's scores, of the whole network."""
    unit_conservation_error: float | None
    """Largest relative difference between score into and out of the layer's units, of the scores in `score_sum`; None
    where nothing of ours reads the units, what lies between cannot be followed, or no score is left
    (`pruning.conservation`)."""
    unit_scores_in: list[float] | None = None
    """Score into each of those units, where somebody keeps them."""
    unit_scores_out: list[float] | None = None
    """Score out of each, in the same order."""
    is_layer: bool = True
    """Whether it is the weight of a layer, not a bias, a scale or a residual identity that is prunable too."""
    positions: int | None = None
    """Positions that a layer's weights are applied at in one forward pass of one image; None for what is no layer, and
    where it cannot be counted (`training.macs`)."""


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """The mask of one prunable layer."""

    layer: str
    position: int
    shape: list[int]
    bits: bytes
    """`pruning.packing.pack` of the mask: 1 is kept."""


@dataclass(frozen=True, kw_only=True)
class TrialError:
    """Why a trial failed."""

    type: str
    message: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> TrialError:
        """The error with the tail of its traceback."""
        text = "".join(traceback.format_exception(error))
        message = str(error)
        if len(message) > MESSAGE_CHARACTERS:
            message = f"{message[: MESSAGE_CHARACTERS // 2]} ... {message[-MESSAGE_CHARACTERS // 2 :]}"
        return cls(type=type(error).__name__, message=_utf8(message), traceback=_utf8(text[-TRACEBACK_CHARACTERS:]))


def _utf8(text: str) -> str:
    """Text that any file can hold: a lone surrogate, as in the name of a file that is not UTF-8, is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """Everything about one attempt at a trial that its rows are made from."""

    config: TrialConfig
    execution: ExecutionClass
    fallback: str = ""
    """Why another engine than the one asked for trained; "" where none did."""
    fused_with: int | None = None
    """Of the fused engine, how many networks were trained side by side, this one among them."""
    gpu_memory: GpuMemory = field(default_factory=GpuMemory)
    """What was taken of the GPU that it ran on."""
    error: TrialError | None = None
    """None exactly if the trial completed."""
    output: str = ""
    """The end of what the trial printed, where somebody kept it."""
    data_hash: str | None = None
    """Checksum of the images and labels that the trial used."""
    num_train: int | None = None
    num_test: int | None = None
    num_classes: int | None = None
    layers: list[LayerRecord] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    masks: list[MaskRecord] = field(default_factory=list)
    """Empty unless the sweep asks for masks."""
    epochs: list[EpochRecord] = field(default_factory=list)
    """Every epoch of every level, in order; none where nothing was trained."""
    is_connected: bool | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds per phase: load, build, prune, train."""

    @property
    def num_collapsed_layers(self) -> int:
        """Prunable layers without a kept weight; biases, scales and identities are no layers."""
        return sum(layer.kept == 0 for layer in self.layers if layer.is_layer)

    @property
    def dense_macs(self) -> int | None:
        """Multiply-accumulates of one image's forward pass through the dense network; None where some layer's are."""
        return self._macs([layer.num_weights for layer in self.layers if layer.is_layer])

    @property
    def live_macs(self) -> int | None:
        """Those by live weights alone: what is left to do where zeros cost nothing."""
        return self._macs([layer.live for layer in self.layers if layer.is_layer])

    def _macs(self, num_weights: list[int]) -> int | None:
        positions = [layer.positions for layer in self.layers if layer.is_layer]
        counted = [count for count in positions if count is not None]
        if not counted or len(counted) < len(positions):
            return None
        return sum(weights * count for weights, count in zip(num_weights, counted, strict=True))

    @property
    def final(self) -> EpochRecord | None:
        """The last epoch."""
        return self.epochs[-1] if self.epochs else None

    @property
    def last_level(self) -> list[EpochRecord]:
        """The epochs after the last pruning: those of the network that is reported."""
        return [epoch for epoch in self.epochs if epoch.level == self.epochs[-1].level]

    @property
    def best(self) -> EpochRecord | None:
        """The epoch of the highest test accuracy, the first of equals: for comparison with published curves only."""
        return max(self.last_level, key=lambda epoch: epoch.test_accuracy, default=None)

    @property
    def selected(self) -> EpochRecord | None:
        """The epoch of the highest validation accuracy, the first of equals; None without a validation split."""
        measured = [epoch for epoch in self.last_level if epoch.validation_accuracy is not None]
        return max(measured, key=lambda epoch: epoch.validation_accuracy or -math.inf, default=None)


class PhaseTimer:
    """Wall-clock seconds of named phases; a phase that comes again adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: tuple[str, float] | None = None

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Time the block, waiting for a GPU's queue to drain so that work is charged where it was asked for."""
        self._running = (phase, time.perf_counter())
        yield
        if torch.cuda.is_initialized():  # asking a GPU that nothing has used would take memory on it
            torch.cuda.synchronize()
        self.seconds = self.so_far()
        self._running = None

    def so_far(self) -> dict[str, float]:
        """Seconds up to now, of the phase that is under way as well."""
        if self._running is None:
            return dict(self.seconds)
        phase, start = self._running
        return self.seconds | {phase: self.seconds.get(phase, 0.0) + time.perf_counter() - start}

    def add(self, seconds: Mapping[str, float]) -> None:
        """What an earlier attempt has spent."""
        for phase, spent in seconds.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + spent
