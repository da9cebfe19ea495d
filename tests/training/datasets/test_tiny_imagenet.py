"""The published folder: classes by name, a flat val, grey files among colour, and what is not whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.build import load_dataset
from training.config import DatasetConfig
from training.datasets.contract import Split

from .conftest import Root

CONFIG = DatasetConfig(name="tiny-imagenet")


def test_images_are_the_files_and_labels_count_wordnet_ids_in_alphabetical_order(standin: Root) -> None:
    root = standin("tiny-imagenet")
    dataset = load_dataset(CONFIG, root)
    assert isinstance(dataset.train, Split)
    assert isinstance(dataset.test, Split)
    folder = root / "tiny-imagenet-200"
    classes = sorted((folder / "wnids.txt").read_text().split())
    files = [path for name in classes for path in sorted((folder / "train" / name / "images").iterdir())]
    assert [classes[label] for label in dataset.train.labels] == [path.parent.parent.name for path in files]
    for image, path in zip(dataset.train.images, files, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(Image.open(path).convert("RGB")))
    annotated = [line.split("\t") for line in (folder / "val" / "val_annotations.txt").read_text().splitlines()]
    assert [classes[label] for label in dataset.test.labels] == [fields[1] for fields in annotated]
    first = np.asarray(Image.open(folder / "val" / "images" / annotated[0][0]))
    np.testing.assert_array_equal(dataset.test.images[0].permute(1, 2, 0), first)


def test_it_is_decoded_once(standin: Root) -> None:
    root = standin("tiny-imagenet")
    first = load_dataset(CONFIG, root)
    for path in (root / "tiny-imagenet-200").rglob("*.JPEG"):
        path.unlink()
    again = load_dataset(CONFIG, root)
    assert again.content_hash == first.content_hash
    assert torch.equal(again.train.labels, first.train.labels)


def some(folder: Path) -> Path:
    return sorted((folder / "train").rglob("*.JPEG"))[3]


def cut(folder: Path) -> Path:
    path = some(folder)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def not_an_image(folder: Path) -> Path:
    some(folder).write_text("<html>")
    return some(folder)


def wrong_size(folder: Path) -> Path:
    path = some(folder)
    Image.new("RGB", (32, 64)).save(path)
    return path


def one_lost(folder: Path) -> Path:
    path = some(folder)
    path.unlink()
    return path.parent


def empty_class(folder: Path) -> Path:
    place = some(folder).parent
    for path in place.iterdir():
        path.unlink()
    return place


def val_image_lost(folder: Path) -> Path:
    path = folder / "val" / "images" / "val_3.JPEG"
    path.unlink()
    return path


def unknown_class(folder: Path) -> Path:
    path = folder / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace("n00000899", "n99999999"))
    return Path(f"{path}:2")


def annotations_cut(folder: Path) -> Path:
    path = folder / "val" / "val_annotations.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-4]))
    return path


def class_lost(folder: Path) -> Path:
    path = folder / "wnids.txt"
    path.write_text("\n".join(path.read_text().split()[1:]))
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "not a whole image"),
        (not_an_image, "not a whole image"),
        (wrong_size, "32x64 pixels, expected 64x64"),
        (one_lost, "11 images, expected 12"),
        (empty_class, "no image of this class"),
        (val_image_lost, "not a whole image .*No such file"),
        (unknown_class, "class 'n99999999' is not one of wnids.txt"),
        (annotations_cut, "46 lines, expected 50"),
        (class_lost, "9 classes, expected 10"),
    ],
)
def test_what_is_not_whole_is_named_with_the_remedy(
    damage: Callable[[Path], Path], message: str, standin: Root
) -> None:
    root = standin("tiny-imagenet")
    named = damage(root / "tiny-imagenet-200")
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(CONFIG, root)
    assert str(caught.value).startswith(str(named))
    assert "replace it" in str(caught.value) or "unpack" in str(caught.value)
