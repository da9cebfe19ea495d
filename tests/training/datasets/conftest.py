"""Data sets for tests: the real ones that lie beside the repository, and small stand-ins written as published."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torchvision
from numpy.typing import NDArray
from PIL import Image

from training.datasets import tiny_imagenet
from training.datasets.root import CACHE_VARIABLE, ROOT_VARIABLE
from training.datasets.streamed import READERS_VARIABLE
from training.datasets.table import DATASETS

BESIDE = Path(__file__).resolve().parents[4] / "shared" / "data"
NUM_TRAIN, NUM_TEST, NUM_CLASSES = 120, 50, 10

Root = Callable[[str], Path]


def real_root(name: str) -> Path:
    """The folder that holds a published data set; the test is skipped where there is none."""
    for root in (Path(os.environ.get(ROOT_VARIABLE) or BESIDE), BESIDE):
        if all((root / file).exists() for file in DATASETS[name].files):
            return root
    pytest.skip(f"{name} is neither in {BESIDE} nor under ${ROOT_VARIABLE}")


@pytest.fixture(scope="session")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded copies of the real data sets, shared by all tests."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def real(decoded: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """The root of a real data set, decoded once for all tests."""

    def root(name: str) -> Path:
        monkeypatch.setenv(CACHE_VARIABLE, str(decoded))
        return real_root(name)

    return root


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """Write a small data set in the published format; the table and torchvision then expect its checksums."""

    def root(name: str) -> Path:
        folder = tmp_path / f"{name}-root"
        WRITERS[name](folder, name)
        if not DATASETS[name].is_fetched:
            monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], num_classes=NUM_CLASSES))
            per_class = {"train": NUM_TRAIN // NUM_CLASSES, "val": NUM_TEST // NUM_CLASSES}
            monkeypatch.setattr(tiny_imagenet, "IMAGES_PER_CLASS", per_class)
            monkeypatch.setenv(READERS_VARIABLE, "0")
            return folder
        digests = {file: hashlib.md5((folder / file).read_bytes()).hexdigest() for file in DATASETS[name].files}
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], files=digests))
        by_name = {Path(file).name: digest for file, digest in digests.items()}
        datasets = torchvision.datasets
        for holder, attribute in ((datasets.CIFAR10, "train_list"), (datasets.CIFAR10, "test_list")):
            listed = [[file, by_name.get(file, digest)] for file, digest in getattr(holder, attribute)]
            monkeypatch.setattr(holder, attribute, listed)
        meta = datasets.CIFAR10.meta
        monkeypatch.setattr(datasets.CIFAR10, "meta", meta | {"md5": by_name.get("batches.meta", meta["md5"])})
        split_list = datasets.SVHN.split_list
        published = {part: [url, file, by_name.get(file, md5)] for part, (url, file, md5) in split_list.items()}
        monkeypatch.setattr(datasets.SVHN, "split_list", published)
        return folder

    return root


def drawn(num_images: int, seed: int, *shape: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Random images (n, *shape) and labels that take turns."""
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(num_images, *shape), dtype=np.uint8), np.arange(num_images) % NUM_CLASSES


def _write_idx(root: Path, name: str) -> None:
    for part, (images, labels) in {"train": drawn(NUM_TRAIN, 0, 28, 28), "t10k": drawn(NUM_TEST, 1, 28, 28)}.items():
        for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
            path = root / "MNIST" / "raw" / f"{part}-{kind}-ubyte"
            path.parent.mkdir(parents=True, exist_ok=True)
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            path.write_bytes(header + array.tobytes())


def _write_cifar10(root: Path, name: str) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images, labels = drawn(NUM_TRAIN, 0, 3072)
    parts = {f"data_batch_{part + 1}": (images[part::5], labels[part::5]) for part in range(5)}
    for file, (some, of_some) in (parts | {"test_batch": drawn(NUM_TEST, 1, 3072)}).items():
        (folder / file).write_bytes(pickle.dumps({"data": some, "labels": of_some.tolist()}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))


def _write_svhn(root: Path, name: str) -> None:
    root.mkdir(parents=True)
    for part, (images, labels) in {
        "train": drawn(NUM_TRAIN, 0, 3, 32, 32),
        "test": drawn(NUM_TEST, 1, 3, 32, 32),
    }.items():
        columns = {"X": images.transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:, None]}
        scipy.io.savemat(root / f"{part}_32x32.mat", columns)


def _write_tiny_imagenet(root: Path, name: str) -> None:
    folder = root / "tiny-imagenet-200"
    (folder / "val" / "images").mkdir(parents=True)
    wnids = [f"n{900 - number:08d}" for number in range(NUM_CLASSES)]  # published in no particular order
    (folder / "wnids.txt").write_text("\n".join(wnids) + "\n")
    annotations = []
    for index, (image, label) in enumerate(zip(*drawn(NUM_TRAIN, 0, 64, 64, 3), strict=True)):
        place = folder / "train" / wnids[label] / "images"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0] if index == 7 else image).save(place / f"{wnids[label]}_{index}.JPEG")
    for index, (image, label) in enumerate(zip(*drawn(NUM_TEST, 1, 64, 64, 3), strict=True)):
        Image.fromarray(image).save(folder / "val" / "images" / f"val_{index}.JPEG")
        annotations.append(f"val_{index}.JPEG\t{wnids[label]}\t0\t0\t63\t63\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(annotations))


def _write_imagenet(root: Path, name: str) -> None:
    for part, num, seed in (("train", NUM_TRAIN, 0), ("val", NUM_TEST, 1)):
        for index, (image, label) in enumerate(zip(*drawn(num, seed, 50, 60, 3), strict=True)):
            place = root / "imagenet" / part / f"n{label:08d}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[: 30 + index % 20]).save(place / f"{index:04d}.JPEG")


WRITERS: dict[str, Callable[[Path, str], None]] = {
    "mnist": _write_idx,
    "cifar10": _write_cifar10,
    "svhn": _write_svhn,
    "tiny-imagenet": _write_tiny_imagenet,
    "imagenet": _write_imagenet,
}
