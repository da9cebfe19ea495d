"""One place chooses the device."""

from __future__ import annotations

import pytest
import torch

from training.device import ExecutionClass, prepare_device


def test_the_cpu_is_one_recorded_execution_class() -> None:
    device, execution = prepare_device("cpu")
    assert device == torch.device("cpu")
    assert execution == ExecutionClass(device="cpu", dtype="float32", engine="reference", threads=1)
    assert torch.get_num_threads() == 1


def test_auto_takes_a_gpu_exactly_where_there_is_one() -> None:
    assert prepare_device("auto")[1].device == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
def test_a_gpu_that_is_not_there_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="device 'cuda': torch sees no GPU here; use --device cpu, or auto"):
        prepare_device("cuda")


def test_an_unknown_device_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="device 'gpu': expected 'auto', 'cpu' or 'cuda'"):
        prepare_device("gpu")
