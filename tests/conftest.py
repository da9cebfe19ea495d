"""Settings that every test shares."""

from __future__ import annotations

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("prunesweep", max_examples=60, deadline=None, database=None, derandomize=True)
hypothesis.settings.load_profile("prunesweep")


def pytest_configure(config: pytest.Config) -> None:
    """Compute in one thread, as trials do."""
    torch.set_num_threads(1)
