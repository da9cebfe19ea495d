"""Out of a GPU's memory: tried again alone, then a failed row; neighbours wait for as long as that takes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
import torch

from training import trial as trial_module
from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext
from training.gpu_turns import GpuTurns
from training.record import TrialRecord
from training.trial import Trial, run_cohort, run_trial

CONFIGS = [
    TrialConfig(
        dataset=DatasetConfig(name="synthetic", options='{"num_test":16,"num_train":128,"shape":[1,4,4]}'),
        model=ModelConfig(name="mlp", options='{"widths":[8]}'),
        pruner=PrunerConfig(name="magnitude"),
        density=Decimal(density),
        seeds=Seeds(init=0, data=0, prune=0),
        training=TrainingConfig(epochs=1),
    )
    for density in ("0.5", "0.4", "0.3")
]


class FullGpu:
    """`Trial` on a GPU that has no room for one trial, so many times."""

    def __init__(self, times: int) -> None:
        self.times, self.ways = times, list[str]()
        self.way = ""

    def __call__(self, config: TrialConfig, context: CohortContext) -> Trial:
        self.ways.append(self.way)
        if config.density == Decimal("0.4") and self.times:
            self.times -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return Trial(config, context)

    @contextmanager
    def going(self, way: str) -> Iterator[None]:
        self.way = way
        yield


def run_on(gpu: FullGpu, monkeypatch: pytest.MonkeyPatch) -> list[TrialRecord]:
    monkeypatch.setattr(trial_module, "Trial", gpu)
    context = CohortContext("cpu")
    monkeypatch.setattr(context.gpu_turns, "beside_others", lambda: gpu.going("beside"))
    monkeypatch.setattr(context.gpu_turns, "alone", lambda: gpu.going("alone"))
    return list(run_cohort(CONFIGS, context))


def test_what_did_not_fit_beside_others_fits_alone_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FullGpu(times=1)
    records = run_on(gpu, monkeypatch)
    assert gpu.ways == ["beside", "beside", "alone", "beside"]
    undisturbed = [run_trial(config, CohortContext("cpu")) for config in CONFIGS]
    assert [one.final for one in records] == [one.final for one in undisturbed]


def test_what_does_not_fit_alone_either_is_a_failed_row_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FullGpu(times=9)
    records = run_on(gpu, monkeypatch)
    assert gpu.ways == ["beside", "beside", "alone", "beside"]
    error = records[1].error
    assert error is not None
    assert error.type == "OutOfMemoryError"
    assert "lower batch_size" in error.traceback
    assert [one.error for one in (records[0], records[2])] == [None, None]


def test_nothing_of_other_trials_is_kept_in_memory() -> None:
    context = CohortContext("cpu")
    list(run_cohort(CONFIGS, context))
    assert context._first_scores
    context.free_memory()
    assert [context._dataset, context._first_scores, context._groups] == [None, {}, None]


def hold(folder: Path, way: str, has_it: Event, let_go: Event) -> None:
    turns = GpuTurns(folder)
    with turns.alone() if way == "alone" else turns.beside_others():
        has_it.set()
        let_go.wait(60)


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[Any]:
    """Start processes that take the GPU in some way; answers whether they have it, and ends them."""
    spawn = multiprocessing.get_context("fork")
    started = []

    def start(way: str) -> tuple[Any, Event, Event]:
        has_it, let_go = spawn.Event(), spawn.Event()
        process = spawn.Process(target=hold, args=(tmp_path / "gpu", way, has_it, let_go))
        process.start()
        started.append(process)
        return process, has_it, let_go

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_who_wants_to_be_alone_waits_for_the_others_and_is_not_overtaken(holders: Any) -> None:
    _, first_has, first_go = holders("beside")
    second, second_has, _ = holders("beside")
    assert first_has.wait(30)
    assert second_has.wait(30)  # two at a time
    _, alone_has, alone_go = holders("alone")
    time.sleep(0.3)
    _, late_has, _ = holders("beside")
    first_go.set()
    time.sleep(0.3)
    assert not alone_has.is_set()  # the second is still at it
    assert not late_has.is_set()  # and whoever came later waits behind
    os.kill(second.pid, signal.SIGKILL)  # a process that dies lets go
    assert alone_has.wait(30)
    time.sleep(0.2)
    assert not late_has.is_set()
    alone_go.set()
    assert late_has.wait(30)


def test_a_cpu_has_no_turns() -> None:
    turns = GpuTurns.of(torch.device("cpu"))
    with turns.alone(), turns.alone(), turns.beside_others():
        pass
