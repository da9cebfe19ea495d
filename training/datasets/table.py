"""The data sets that ship, by name. Nothing here imports torch: a loader is imported when a trial needs it.

A new data set is one file beside this one and one entry here. A user's own is `package.module:function` in a sweep
file: anything that can be called with its options and returns `training.datasets.contract.Dataset`; one that takes
`data_root` is given the folder of data sets, a `pathlib.Path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """A data set and what it holds."""

    target: str
    """"module:function"."""
    summary: str
    source: str
    input_shape: tuple[int, int, int] | None
    """(channels, height, width): known without loading, so that planning reads no data. None: an option says."""
    num_classes: int | None
    num_train: int = 0
    """Training images as published; 0: an option says."""
    num_test: int = 0
    num_validation: int = 0
    """Images of its own validation split."""
    options: tuple[str, ...] = ()
    """Names of the function's arguments, besides data_root."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What must lie under the data root, each with the MD5 of the file as published, "" for folders and where none is.
    Empty: nothing is read."""
    is_fetched: bool = False
    """Whether missing files are downloaded, by torchvision."""
    has_images: bool = True
    """Whether there is anything to train, measure or score on."""

    def shape_with(self, options: Mapping[str, Any]) -> tuple[int, int, int] | None:
        """`input_shape`, or that of images scaled to the option `size`."""
        if self.input_shape is None or type(options.get("size")) is not int:
            return self.input_shape
        return self.input_shape[0], options["size"], options["size"]

    def num_train_with(self, options: Mapping[str, Any]) -> int:
        """`num_train`, or the option of that name."""
        given = options.get("num_train")
        return given if type(given) is int else self.num_train


def _idx_files(folder: str, *digests: str) -> dict[str, str]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return {f"{folder}/raw/{name}-ubyte": digest for name, digest in zip(names, digests, strict=True)}


DATASETS: dict[str, DatasetEntry] = {
    "digits": DatasetEntry(
        target="training.datasets.digits:load",
        summary="1,797 handwritten digits, 8x8 grey, 10 classes; 1,097 train, 200 validation, 500 test",
        source="UCI optical recognition of handwritten digits, as in scikit-learn",
        input_shape=(1, 8, 8),
        num_classes=10,
        num_train=1_097,
        num_test=500,
        num_validation=200,
    ),
    "mnist": DatasetEntry(
        target="training.datasets.torchvision_sets:mnist",
        summary="70,000 handwritten digits, 28x28 grey, 10 classes; 60,000 train, 10,000 test",
        source="LeCun et al. 1998",
        input_shape=(1, 28, 28),
        num_classes=10,
        num_train=60_000,
        num_test=10_000,
        options=("size", "num_train"),
        files=_idx_files(
            "MNIST",
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
        is_fetched=True,
    ),
    "fashion-mnist": DatasetEntry(
        target="training.datasets.torchvision_sets:fashion_mnist",
        summary="70,000 articles of clothing, 28x28 grey, 10 classes; 60,000 train, 10,000 test",
        source="Xiao et al. 2017",
        input_shape=(1, 28, 28),
        num_classes=10,
        num_train=60_000,
        num_test=10_000,
        options=("size", "num_train"),
        files=_idx_files(
            "FashionMNIST",
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
        is_fetched=True,
    ),
    "cifar10": DatasetEntry(
        target="training.datasets.torchvision_sets:cifar10",
        summary="60,000 photographs, 32x32 colour, 10 classes; 50,000 train, 10,000 test",
        source="Krizhevsky 2009",
        input_shape=(3, 32, 32),
        num_classes=10,
        num_train=50_000,
        num_test=10_000,
        options=("size", "num_train"),
        files={
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
            "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        is_fetched=True,
    ),
    "cifar100": DatasetEntry(
        target="training.datasets.torchvision_sets:cifar100",
        summary="60,000 photographs, 32x32 colour, 100 classes; 50,000 train, 10,000 test",
        source="Krizhevsky 2009",
        input_shape=(3, 32, 32),
        num_classes=100,
        num_train=50_000,
        num_test=10_000,
        options=("size", "num_train"),
        files={
            "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
            "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "cifar-100-python/meta": "7973b15100ade9c7d40fb424638fde48",
        },
        is_fetched=True,
    ),
    "svhn": DatasetEntry(
        target="training.datasets.torchvision_sets:svhn",
        summary="99,289 house numbers, 32x32 colour, 10 classes; 73,257 train, 26,032 test",
        source="Netzer et al. 2011",
        input_shape=(3, 32, 32),
        num_classes=10,
        num_train=73_257,
        num_test=26_032,
        options=("size", "num_train"),
        files={
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        },
        is_fetched=True,
    ),
    "tiny-imagenet": DatasetEntry(
        target="training.datasets.tiny_imagenet:load",
        summary="110,000 photographs, 64x64 colour, 200 classes; 100,000 train, 10,000 test (the published val)",
        source="Le and Yang 2015, cs231n.stanford.edu/tiny-imagenet-200.zip",
        input_shape=(3, 64, 64),
        num_classes=200,
        num_train=100_000,
        num_test=10_000,
        files={
            f"tiny-imagenet-200/{file}": "" for file in ("wnids.txt", "train", "val/images", "val/val_annotations.txt")
        },
    ),
    "imagenet": DatasetEntry(
        target="training.datasets.imagenet:load",
        summary="1,331,167 photographs, crops of 224x224 colour, 1,000 classes; 1,281,167 train, 50,000 test (val)",
        source="Russakovsky et al. 2015, image-net.org",
        input_shape=(3, 224, 224),
        num_classes=1000,
        num_train=1_281_167,
        num_test=50_000,
        files={"imagenet/train": "", "imagenet/val": ""},
    ),
    "synthetic": DatasetEntry(
        target="training.datasets.synthetic:load",
        summary="a pattern a class under noise, for benchmarks: any shape (3, 32, 32), classes (10) and sizes",
        source="generated",
        input_shape=None,
        num_classes=None,
        options=("shape", "num_classes", "num_train", "num_validation", "num_test"),
    ),
    "blank": DatasetEntry(
        target="training.datasets.blank:load",
        summary="no images, of any shape (3, 224, 224) and classes (1000): to prune by what looks at none, epochs 0",
        source="none",
        input_shape=None,
        num_classes=None,
        options=("shape", "num_classes"),
        has_images=False,
    ),
}
