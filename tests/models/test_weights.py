"""Pretrained weights: read exactly, or refused with the file's name and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.lenet import conv2, lenet_300_100
from models.table import MODELS
from tests.models.counted import CIFAR, MEASURED, MNIST, Case


def small(path: Path | None, num_classes: int = 10) -> nn.Module:
    return lenet_300_100(input_shape=(1, 2, 2), num_classes=num_classes, weights=str(path) if path else None)


@pytest.mark.parametrize("file", ["weights.pt", "weights.pth", "wrapped.pt", "weights.safetensors"])
def test_weights_are_read_bit_for_bit(file: str, tmp_path: Path) -> None:
    source = small(None).state_dict()
    if file.endswith("safetensors"):
        save_file(source, tmp_path / file)
    else:
        torch.save({"state_dict": source, "epoch": 3} if file == "wrapped.pt" else source, tmp_path / file)
    loaded = small(tmp_path / file).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in source.items())


@pytest.mark.parametrize("kept", [0, 7, 20, 200, -1])
def test_a_truncated_safetensors_file_is_refused_by_name(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    save_file(small(None).state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cut\.safetensors: damaged or not a safetensors file"):
        small(path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save(small(None), tmp_path / "module.pt")  # a pickled class, not tensors
    with pytest.raises(ValueError, match=r"module\.pt: not a file of plain tensors.*save the network's state_dict"):
        small(tmp_path / "module.pt")


def test_what_is_no_file_of_weights_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"weights: no file .*missing\.pt"):
        small(tmp_path / "missing.pt")
    for name, content in (("weights.npz", b""), ("weights", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"read from \.safetensors, \.pt or \.pth"):
            small(tmp_path / name)
    (tmp_path / "noise.pt").write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match=r"noise\.pt: not a file of plain tensors"):
        small(tmp_path / "noise.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list\.pt: expected a state_dict"):
        small(tmp_path / "list.pt")


def test_weights_of_another_network_are_refused_and_nothing_is_skipped(tmp_path: Path) -> None:
    torch.save(small(None, num_classes=7).state_dict(), tmp_path / "seven.pt")
    with pytest.raises(ValueError, match=r"2 of another shape \(classifier\.4\.bias \(7,\) for \(10,\)"):
        small(tmp_path / "seven.pt")
    with pytest.raises(ValueError, match=r"8 missing .*4 unknown|missing.*"):
        conv2(input_shape=CIFAR, num_classes=10, weights=str(tmp_path / "seven.pt"))


def test_weights_saved_before_batchnorm_counted_its_steps_are_read(tmp_path: Path) -> None:
    case = Case("resnet20", CIFAR, 10, 0, 0, 0, "")
    state = {key: value for key, value in case.build(seed=1).state_dict().items() if "num_batches" not in key}
    torch.save(state, tmp_path / "old.pt")
    loaded = Case("resnet20", CIFAR, 10, 0, 0, 0, "", {"weights": str(tmp_path / "old.pt")}).build(seed=2).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_shapes_alone_need_no_file() -> None:
    with torch.device("meta"):
        assert lenet_300_100(input_shape=MNIST, num_classes=10, weights="absent.pt").classifier[0].weight.is_meta


@pytest.mark.parametrize("case", [case for case in MEASURED if "weights" in MODELS[case.name].options], ids=str)
def test_every_family_reads_its_weights(case: Case) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        replace(case, options=case.options | {"weights": "absent.pt"}).build()
