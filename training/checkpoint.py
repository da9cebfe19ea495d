"""Checkpoints: what a long piece of training needs to go on, as one file that is whole or not used.

A checkpoint is named tensors and a few facts, kept as safetensors with the facts as JSON in its header: no pickle, so
reading one runs no code. A file's name carries the hash of its content. It is published whole, the one before it is
kept until then, and a damaged one is passed over in favour of the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

GENERATIONS = 2
"""Checkpoints kept of one piece of training: the last, and one to fall back on."""
SUFFIX = ".safetensors"


class Shelf(Protocol):
    """Where checkpoints are kept: files that appear whole or not at all. A store is one."""

    def files(self, *parts: str) -> list[str]:
        """Names of the files in a folder, sorted; empty where there is no such folder."""

    def folders(self, *parts: str) -> list[str]:
        """Names of the folders in a folder, sorted; empty where there is no such folder."""

    def publish_bytes(self, content: bytes, *parts: str) -> None:
        """Write a file that readers see whole or not at all."""

    def read_bytes(self, *parts: str) -> bytes:
        """The content of a file. Raises OSError where there is none."""

    def remove(self, *parts: str) -> None:
        """Delete a file; nothing happens where there is none."""

    def remove_folder(self, *parts: str) -> None:
        """Delete a folder and what is in it; nothing happens where there is none."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Tensors by name, and facts that JSON can hold."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save_checkpoint(shelf: Shelf, checkpoint: Checkpoint, *folder: str) -> None:
    """Publish the next checkpoint in `folder` and drop those that are no longer needed to fall back on."""
    from safetensors.torch import save

    content = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()},
        metadata={"facts": json.dumps(checkpoint.facts, sort_keys=True)},
    )
    older = _generations(shelf, *folder)
    number = 1 + max((_number(name) for name in older), default=0)
    shelf.publish_bytes(content, *folder, f"{number:08d}-{_digest(content)}{SUFFIX}")
    for name in older[: max(0, len(older) - GENERATIONS + 1)]:
        shelf.remove(*folder, name)


def load_checkpoint(shelf: Shelf, *folder: str, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The last whole checkpoint in `folder`; None where there is none. A damaged file is passed over and removed."""
    from safetensors.torch import load

    for name in reversed(_generations(shelf, *folder)):
        try:
            content = shelf.read_bytes(*folder, name)
        except OSError:  # another runner has just replaced it
            continue
        if _digest(content) != name.removesuffix(SUFFIX).split("-", 1)[1]:
            shelf.remove(*folder, name)
            continue
        tensors = {key: tensor.to(device) for key, tensor in load(content).items()}
        return Checkpoint(tensors=tensors, facts=json.loads(_metadata(content)["facts"]))
    return None


def _generations(shelf: Shelf, *folder: str) -> list[str]:
    """Checkpoints in a folder, the oldest first; other files are not ours."""
    return [name for name in shelf.files(*folder) if name.endswith(SUFFIX) and name[:8].isdigit() and name[8:9] == "-"]


def _number(name: str) -> int:
    return int(name[:8])


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _metadata(content: bytes) -> dict[str, str]:
    """The text entries of a safetensors header: eight bytes of length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, dict[str, str]] = json.loads(content[8 : 8 + length])
    return header["__metadata__"]
