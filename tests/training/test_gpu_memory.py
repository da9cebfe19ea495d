"""What a trial takes of its GPU's memory is counted from its beginning to its end, and not at all on a CPU."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from training import trial as trial_module
from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig
from training.context import CohortContext, build_network
from training.gpu_memory import GpuMemory, count_from_here, taken_since
from training.trial import run_trial

CONFIG = TrialConfig(
    dataset=DatasetConfig(name="synthetic", options='{"num_test":16,"num_train":128,"shape":[1,4,4]}'),
    model=ModelConfig(name="mlp", options='{"widths":[8]}'),
    pruner=PrunerConfig(name="magnitude"),
    density=Decimal("0.5"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=1),
)
GPU = torch.device("cuda")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a GPU of 16 GB is asked, in order, and the networks that are built in between."""
    found: list[str] = []
    answers = {
        "reset_peak_memory_stats": None,
        "max_memory_reserved": 3_000_000_000,
        "get_device_properties": SimpleNamespace(total_memory=16_000_000_000),
    }

    def ask(name: str, device: torch.device) -> Any:
        assert device == GPU
        found.append(name)
        return answers[name]

    for name in answers:
        monkeypatch.setattr(torch.cuda, name, lambda device, name=name: ask(name, device))
    return found


def test_a_trial_is_counted_from_before_its_network_is_built_to_its_end(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(config: TrialConfig, context: CohortContext) -> nn.Module:
        calls.append("build")
        return build_network(config, context)

    monkeypatch.setattr(trial_module, "build_network", build)
    monkeypatch.setattr(trial_module, "count_from_here", lambda device: count_from_here(GPU))
    monkeypatch.setattr(trial_module, "taken_since", lambda device: taken_since(GPU))
    record = run_trial(CONFIG, CohortContext("cpu"))
    assert calls == ["reset_peak_memory_stats", "build", "max_memory_reserved", "get_device_properties"]
    assert record.gpu_memory == GpuMemory(peak_gpu_bytes=3_000_000_000, gpu_bytes=16_000_000_000)


def test_a_trial_on_a_cpu_asks_no_gpu_and_has_taken_nothing(calls: list[str]) -> None:
    record = run_trial(CONFIG, CohortContext("cpu"))
    assert record.gpu_memory == GpuMemory(peak_gpu_bytes=None, gpu_bytes=None)
    assert calls == []
