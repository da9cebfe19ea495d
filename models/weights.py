"""Pretrained weights from a local file. Nothing is downloaded and nothing in the file is executed.

Two kinds are read: `.safetensors`, and `.pt` or `.pth` through torch's restricted loader. Names and shapes must match
the model exactly: a silently skipped layer would train from scratch under the name of a pretrained network.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


def with_weights(model: Model, path: str | None) -> Model:
    """`model` holding the weights of the file at `path`, if one is given; returned for convenience.

    A model on the meta device (shapes only) is returned as it is and the file is not opened.
    Raises FileNotFoundError, or ValueError naming the file and what does not fit.
    """
    if path is None or any(parameter.is_meta for parameter in model.parameters()):
        return model
    state = read_weights(Path(path))
    expected = model.state_dict()
    # BatchNorm's step counter steers nothing in training or evaluation, and older files lack it.
    missing = {name for name in expected.keys() - state.keys() if not name.endswith("num_batches_tracked")}
    unknown = state.keys() - expected.keys()
    misshapen = {
        f"{name} {tuple(state[name].shape)} for {tuple(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        if state[name].shape != expected[name].shape
    }
    faults = {"missing": missing, "unknown": unknown, "of another shape": misshapen}
    if any(faults.values()):
        told = "; ".join(f"{len(names)} {fault} ({_few(names)})" for fault, names in faults.items() if names)
        raise ValueError(
            f"{path}: not the weights of this {type(model).__name__}: {told}. "
            "Check the model's name, form and number of classes"
        )
    model.load_state_dict(state, strict=False)
    return model


def write_weights(model: nn.Module, path: Path, about: Mapping[str, str]) -> None:
    """Write parameters and buffers of `model` to a .safetensors file that `with_weights` reads.

    `about` is kept in the file's header. Raises ValueError for another suffix.
    """
    from safetensors.torch import save_file

    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights are written to a .safetensors file, not {path.suffix or 'no suffix'!r}")
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path, metadata=dict(about))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU. Raises FileNotFoundError, or ValueError naming the file and its fault."""
    if not path.is_file():
        raise FileNotFoundError(f"weights: no file {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in (".pt", ".pth"):
        raise ValueError(f"{path}: weights are read from .safetensors, .pt or .pth, not {path.suffix or 'no suffix'!r}")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(
            f"{path}: not a file of plain tensors ({str(error).splitlines()[0]}); "
            "save the network's state_dict(), not the network"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: expected a state_dict, tensors by name (or one under the key 'state_dict')")
    return dict(state)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged or not a safetensors file ({error})") from error


def _few(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
