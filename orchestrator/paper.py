"""The paper's sweep files, `sweeps/paper/`, and the scales at which they are run.

A figure is one sweep file, or several where one cannot say all of it (a preset, a data set or a number of seeds of its
own): figure2.yaml and figure2-data.yaml. Each is a plain sweep file with the published settings. A scale is keys of a
sweep file that take the place of the file's own (`scales.yaml`); what comes of it is a sweep file again, which a store
keeps, `plan` shows and everything else reads like any other.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from orchestrator.axis import Strict
from orchestrator.errors import BadInput, did_you_mean
from orchestrator.saved_sweeps import latest_sweeps
from orchestrator.sweepfile import SweepFile, parse_sweep

if TYPE_CHECKING:
    from orchestrator.store.layout import Store

FOLDER = files("sweeps") / "paper"
FULL = "full"
SCALES_FILE = "scales.yaml"


class ScaledTraining(Strict):
    """What a scale may change of training: how long; `augment` because not every data set has an augmentation."""

    epochs: Any = None
    lr_drops: Any = None
    augment: Any = None


class Scale(Strict):
    """What a scale may change of a sweep file: its values are checked as that file's own."""

    dataset: Any = None
    """A subset, or another data set."""
    model: Any = None
    pruner: Any = None
    """The grid of the file's own pruners: fewer of them, of their rounds or levels, or of the images they score."""
    compression_exponent: Any = None
    compression_ratio: Any = None
    seed: Any = None
    training: ScaledTraining = ScaledTraining()

    def applied_to(self, document: dict[str, Any]) -> dict[str, Any]:
        """The sweep file with what this scale changes."""
        given = self.model_dump(exclude_unset=True)
        training = {**document.get("training", {}), **given.pop("training", {})}
        return {**document, **given, **({"training": training} if training else {})}


def figures() -> list[str]:
    """Numbers of the figures that have a sweep file."""
    return sorted(name.removeprefix("figure") for name in _files() if "-" not in name)


def parts(figure: str) -> list[str]:
    """Names of a figure's sweep files, the figure's own first. Raises BadInput for a figure without any."""
    number = figure.lower().removeprefix("figure").strip(" -_")
    if number not in figures():
        panels = [one for one in figures() if number and one.startswith(number)]
        if len(panels) > 1:
            raise BadInput(f"figure {figure}: expected {' or '.join(panels)}, which are reproduced one by one")
        raise BadInput(f"figure {figure}: {did_you_mean(number, figures())}")
    name = f"figure{number}"
    return [name, *(one for one in _files() if one.startswith(f"{name}-"))]


def scales() -> list[str]:
    """Names of the scales, the published one first."""
    return [FULL, *_scales()]


def scaled_sweep(part: str, scale: str) -> SweepFile | None:
    """A sweep file of the paper at a scale, None where that leaves it out. Raises BadInput for an unknown scale."""
    if scale not in scales():
        raise BadInput(f"--scale {scale}: {did_you_mean(scale, scales())}")
    document = _document(f"{part}.yaml")
    if scale != FULL:
        changes = _scales()[scale].get(part, Scale())
        if changes is None:
            return None
        document = changes.applied_to(document) | {"name": f"{document['name']}-{scale}"}
    return parse_sweep(_text(document), name=f"{part}.yaml at scale {scale}", folder=Path(str(FOLDER)))


def refuse_other_sweeps(store: Store, files: Iterable[SweepFile]) -> None:
    """Raise BadInput where a results folder holds a sweep that is not of the figure and scale: both would be judged."""
    others = sorted(set(latest_sweeps(store)) - {file.sweep.name for file in files})
    if others:
        raise BadInput(
            f"{store.location} holds {', '.join(others)}, which would be drawn and judged together: expected a folder "
            "for this figure at this scale alone. Leave --results out, or name another folder"
        )


def default_results(figure: str, scale: str) -> str:
    """Where a figure's results go unless told otherwise."""
    return str(Path("results") / (f"paper-{figure}" if scale == FULL else f"paper-{figure}-{scale}"))


def _files() -> list[str]:
    names = (entry.name for entry in FOLDER.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.startswith("figure") and name.endswith(".yaml"))


@cache
def _scales() -> dict[str, dict[str, Scale | None]]:
    return {
        scale: {part: _scale(keys, f"{scale}.{part}") for part, keys in of_parts.items()}
        for scale, of_parts in _document(SCALES_FILE).items()
    }


def _scale(keys: Any, where: str) -> Scale | None:
    try:
        return None if keys is None else Scale.model_validate(keys)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, (where, *first["loc"])))
        raise BadInput(f"{SCALES_FILE}: {at}: {first['msg']}") from None


def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe", pure=True).load((FOLDER / name).read_text(encoding="utf-8"))
    return document


def _text(document: dict[str, Any]) -> str:
    text = io.StringIO()
    yaml: Any = YAML(typ="safe", pure=True)  # its types know the defaults alone
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 120
    yaml.dump(document, text)
    return text.getvalue()
