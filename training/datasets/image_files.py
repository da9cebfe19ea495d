"""Image files and the folders of classes that they lie in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SUFFIXES = (".jpeg", ".jpg", ".png")


def open_image(path: Path) -> Any:
    """A file as an RGB PIL image, decoded. Raises ValueError, naming the file, for one that is missing or damaged."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError) as error:  # SyntaxError is what PIL says of a broken PNG
        raise ValueError(f"{path}: not a whole image ({error}): replace it, or unpack the archive again") from None


def class_names(folder: Path, num_classes: int) -> list[str]:
    """The sub-folders of `folder`, one a class, in alphabetical order. Raises ValueError for another number of them."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if len(names) != num_classes:
        raise ValueError(
            f"{folder}: {len(names):,} folders, expected one for each of {num_classes:,} classes: unpack the data set "
            "whole"
        )
    return names


def image_names(folder: Path) -> list[str]:
    """The image files of one class, in alphabetical order. Raises ValueError where there is none."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not names:
        raise ValueError(f"{folder}: no image of this class: expected {', '.join(SUFFIXES)}; unpack the data set whole")
    return names
