"""Checkpoints come back equal, damaged ones are passed over, and no code runs on reading."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.store.layout import Store
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def example(number: float = 0.1) -> Checkpoint:
    return Checkpoint(
        tensors={
            "weight": torch.tensor([[1.5, -0.0], [math.inf, 5e-324]], dtype=torch.float64),
            "half": torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).bfloat16().t(),
            "mask": torch.tensor([True, False, True]),
            "step": torch.tensor(3.0),
            "noise": torch.default_generator.get_state(),
            "empty": torch.zeros(0, 4),
        },
        facts={"step": 7, "loss": number, "nested": [{"a": None}, "ü"], "nan": math.nan},
    )


def assert_equal(found: Checkpoint | None, expected: Checkpoint) -> None:
    assert found is not None
    assert json.dumps(found.facts, sort_keys=True) == json.dumps(expected.facts, sort_keys=True)
    assert found.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name].view(tensor.shape), tensor)
    signs = found.tensors["weight"].signbit()
    assert signs.tolist() == [[False, True], [False, False]]


def test_a_checkpoint_comes_back_equal_to_the_last_bit(tmp_path: Path) -> None:
    save_checkpoint(Store(tmp_path), example(), "checkpoints", "a")
    assert_equal(load_checkpoint(Store(tmp_path), "checkpoints", "a"), example())
    assert load_checkpoint(Store(tmp_path), "checkpoints", "b") is None


def test_the_last_two_are_kept_and_the_last_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(5):
        save_checkpoint(store, example(number), "c")
    assert [name[:8] for name in store.files("c")] == ["00000004", "00000005"]
    assert_equal(load_checkpoint(store, "c"), example(4))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "renamed"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    save_checkpoint(store, example(1), "c")
    save_checkpoint(store, example(2), "c")
    last = tmp_path / "c" / store.files("c")[-1]
    content = last.read_bytes()
    match damage:
        case "cut":
            last.write_bytes(content[:-1])
        case "flipped":
            last.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        case "empty":
            last.write_bytes(b"")
        case "renamed":
            last.rename(last.with_name("00000002-" + "0" * 32 + ".safetensors"))
    assert_equal(load_checkpoint(store, "c"), example(1))
    save_checkpoint(store, example(3), "c")
    assert_equal(load_checkpoint(store, "c"), example(3))


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save_checkpoint(store, example(), "c")
    store.publish_text("mine", "c", "notes.txt")
    store.publish_text("mine", "c", "99999999-.safetensors")
    assert_equal(load_checkpoint(store, "c"), example())


@settings(deadline=None, max_examples=30)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, position: float, bit: int) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    save_checkpoint(store, example(), "c")
    file = Path(store.path("c", store.files("c")[0]))
    content = bytearray(file.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    file.write_bytes(content)
    assert load_checkpoint(store, "c") is None
