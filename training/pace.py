"""How long a training step of a network takes here: measured in seconds, before anything is run."""

from __future__ import annotations

import time

import torch
from torch.nn.functional import cross_entropy

from training.build import build_model, load_dataset
from training.config import TrialConfig
from training.optimizer import build_optimizer

STEPS = 3
"""After one to warm up; the quickest counts."""


def seconds_a_step(config: TrialConfig, device: torch.device, *, data_root: str | None = None) -> float:
    """Seconds of a step of a trial's network, unpruned, on a batch of its data set. Raises what its trials would."""
    dataset = load_dataset(config.dataset, data_root).to(device)
    images, labels = next(dataset.train.batches(None, config.training.batch_size))
    model = build_model(
        config.model, input_shape=dataset.input_shape, num_classes=dataset.num_classes, init_seed=config.seeds.init
    ).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs want a dtype too
    images = images.contiguous(memory_format=torch.channels_last)
    optimizer = build_optimizer(model.parameters(), config.training)
    took = []
    for _ in range(1 + STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        took.append(time.perf_counter() - start)
    return min(took[1:])
