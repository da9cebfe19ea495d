"""Published settings by name: one file each in sweeps/presets/, data with its source.

A preset fills in what a sweep file leaves out: training, by model; how pruners are applied; what is held out. Trials
record plain values, so a trial from a preset and one spelled out are one trial. A sweep file is read again on resume:
a preset that was released never changes, a corrected one gets a new name.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import Field
from ruamel.yaml import YAML

from models.table import MODELS
from orchestrator.axis import Strict
from orchestrator.recipe import TrainingSpec

PRESETS_FOLDER = files("sweeps") / "presets"


class PresetRow(Strict):
    """One row of a published table."""

    models: list[str]
    """Names of models, or of the files in models/ that hold a family: vgg is every VGG."""
    training: TrainingSpec


class PrunerPreset(Strict):
    """How pruners are applied; null leaves a pruner's own default."""

    iterations: Annotated[int, Field(ge=1)] | None = None
    mode: str | None = None
    score_dtype: str | None = None
    examples_per_class: Annotated[int, Field(ge=1)] | None = None


class Preset(Strict):
    """A recipe as published."""

    summary: str
    source: str
    deviations: str = ""
    """Where the sweep differs from the publication all the same."""
    datasets: list[str]
    """Data sets that the settings were published for; others are allowed, and the plan says so."""
    validation: str = "own"
    """`DatasetConfig.validation`."""
    training: TrainingSpec
    """What all rows share."""
    rows: list[PresetRow]
    pruner: PrunerPreset = PrunerPreset()
    """For every pruner."""
    pruners: dict[str, PrunerPreset] = {}
    """For one, over the former."""

    def row(self, model: str) -> PresetRow | None:
        """The row that holds a model by its name or its family; None where there is none."""
        family = MODELS[model].family if model in MODELS else None
        return next((row for row in self.rows if model in row.models or family in row.models), None)

    def training_of(self, model: str) -> dict[str, Any]:
        """Published training settings of a model that has a row."""
        row = self.row(model)
        assert row is not None, f"no row for {model}: Sweep refuses it"
        return self.training_of_row(row)

    def training_of_row(self, row: PresetRow) -> dict[str, Any]:
        """Published training settings of one row."""
        return self.training.given | row.training.given

    def of_pruner(self, pruner: str, key: str, default: Any) -> Any:
        """What is published of one key of a pruner, else the default."""
        published = (getattr(one, key) for one in (self.pruners.get(pruner, PrunerPreset()), self.pruner))
        return next((value for value in published if value is not None), default)

    @property
    def pruners_text(self) -> str:
        """How pruners are applied, in words; empty where nothing is published."""
        parts = {"": self.pruner} | self.pruners
        words = {name: one.model_dump(exclude_none=True) for name, one in parts.items()}
        return "; ".join(
            f"{name} {', '.join(f'{key} {value}' for key, value in given.items())}".strip()
            for name, given in words.items()
            if given
        )

    @property
    def models_text(self) -> str:
        """Every model or family that has a row."""
        return ", ".join(name for row in self.rows for name in row.models)


def load_preset(name: str) -> Preset:
    """A preset of sweeps/presets/ by name."""
    text = (PRESETS_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    return Preset.model_validate(YAML(typ="safe", pure=True).load(text))


@cache
def load_presets() -> dict[str, Preset]:
    """All presets by name."""
    names = sorted(
        entry.name.removesuffix(".yaml") for entry in PRESETS_FOLDER.iterdir() if entry.name.endswith(".yaml")
    )
    return {name: load_preset(name) for name in names}
