"""Decoded copies: whole or not at all, made once, shared by processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from training.datasets.cache import Arrays, cached, locked
from training.datasets.checksum import checksum


def arrays(seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    images = rng.integers(256, size=(60, 3, 8, 8), dtype=np.uint8)
    return Arrays(images=images, labels=np.arange(60) % 10, sizes=(40, 0, 20))


def never() -> Arrays:
    raise AssertionError("what is there was made again")


def copy_in(folder: Path) -> Path:
    (place,) = (path for path in folder.iterdir() if path.is_dir())
    return place


def test_what_was_built_is_mapped_from_then_on(tmp_path: Path) -> None:
    built = arrays()
    first = cached(tmp_path / "c", "set", lambda: built)
    again = cached(tmp_path / "c", "set", never)
    for found in (first, again):
        assert isinstance(found.images, np.memmap)
        assert isinstance(found.labels, np.memmap)
        np.testing.assert_array_equal(found.images, built.images)
        np.testing.assert_array_equal(found.labels, built.labels)
        assert found.sizes == built.sizes
        assert found.content_hash == checksum(built.images, built.labels, np.array(built.sizes))
    tensor = torch.from_numpy(first.images)  # warnings are errors: no copy and no complaint about read-only memory
    assert tensor.data_ptr() == first.images.ctypes.data
    tensor[0] = 7  # private: neither the file nor anyone else sees it
    np.testing.assert_array_equal(again.images, built.images)


def test_names_and_contents_are_told_apart(tmp_path: Path) -> None:
    one = cached(tmp_path, "set", lambda: arrays(0))
    other = cached(tmp_path, "other", lambda: arrays(2))
    assert one.content_hash != other.content_hash
    assert cached(tmp_path, "set", never).content_hash == one.content_hash
    built = arrays(0)
    assert checksum(built.images, built.labels, np.array([20, 20, 20])) != one.content_hash


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "contents.json"])
@pytest.mark.parametrize("damage", ["removed", "cut short", "emptied", "a byte changed"])
def test_a_damaged_copy_is_never_used_and_is_made_again(tmp_path: Path, file: str, damage: str) -> None:
    built = arrays()
    cached(tmp_path, "set", lambda: built)
    path = copy_in(tmp_path) / file
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        changed = bytearray(content)
        changed[-9] ^= 0x15
        path.write_bytes({"cut short": content[:-5], "emptied": b"", "a byte changed": bytes(changed)}[damage])
    num_made = 0

    def made() -> Arrays:
        nonlocal num_made
        num_made += 1
        return built

    found = cached(tmp_path, "set", made)
    assert num_made == 1
    np.testing.assert_array_equal(found.images, built.images)
    np.testing.assert_array_equal(found.labels, built.labels)
    assert cached(tmp_path, "set", never).content_hash == found.content_hash


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    code = f"""
import os, numpy as np
from pathlib import Path
from training.datasets import cache
real = cache.json.dump
def die(*arguments):
    os._exit(9)
cache.json.dump = die
built = cache.Arrays(images=np.zeros((6, 1, 2, 2), np.uint8), labels=np.zeros(6, np.int64), sizes=(4, 0, 2))
cache.cached(Path({str(tmp_path)!r}), "set", lambda: built)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert any(tmp_path.iterdir())
    built = arrays()
    found = cached(tmp_path, "set", lambda: built)
    np.testing.assert_array_equal(found.images, built.images)


def test_an_error_while_building_leaves_nothing_and_is_passed_on(tmp_path: Path) -> None:
    def fails() -> Arrays:
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        cached(tmp_path, "set", fails)
    assert [path.name for path in tmp_path.iterdir()] == ["set.lock"]


def test_a_folder_that_cannot_be_written_is_named_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"file/sub: the decoded data set cannot be kept .*PRUNESWEEP_CACHE"):
        cached(tmp_path / "file" / "sub", "set", arrays)


FETCHES = """
import os, sys, time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torchvision

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets import torchvision_sets
from training.datasets.table import DATASETS

root = Path(sys.argv[1])
files = {"part": "9a0364b9e99bb480dd25e1f0284c8555"}  # md5 of b"content"
DATASETS["mnist"] = replace(DATASETS["mnist"], files=files)


def read(root, *, download):
    if download:
        with (root / "fetches").open("a") as log:
            log.write(f"{os.getpid()}\\n")
        with (root / "part").open("w") as file:
            for letter in "content":  # slowly: another process would see half of it
                file.write(letter)
                file.flush()
                time.sleep(0.1)
    assert (root / "part").read_text() == "content"
    with (root / "decodes").open("a") as log:
        log.write(f"{os.getpid()}\\n")
    part = np.zeros((20, 1, 28, 28), np.uint8), np.arange(20) % 10
    return part, part


torchvision_sets.READERS["mnist"] = read
print(len(load_dataset(DatasetConfig(name="mnist"), root).train))
"""


def test_processes_that_want_a_missing_set_at_once_fetch_and_decode_it_once(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("PRUNESWEEP_CACHE", None)
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", FETCHES, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in racing:
        output, _ = process.communicate(timeout=120)
        assert (process.returncode, output.strip()) == (0, "20")
    fetches = (tmp_path / "fetches").read_text().split()
    decodes = (tmp_path / "decodes").read_text().split()
    assert len(fetches) == 1
    assert set(decodes) == set(fetches)


def test_a_lock_is_given_back_by_a_process_that_dies(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = f"""
import os
from pathlib import Path
from training.datasets.cache import locked
with locked(Path({str(lock)!r})):
    print("held", flush=True)
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 9
    with locked(lock):
        assert lock.exists()


def test_contents_say_what_a_copy_holds(tmp_path: Path) -> None:
    found = cached(tmp_path, "set", arrays)
    contents = json.loads((copy_in(tmp_path) / "contents.json").read_text())
    assert contents == {"sizes": [40, 0, 20], "content_hash": found.content_hash}
