"""What a trial runs on, and what it reserves there: what a command says, then the sweep file.

"fit" is how many trials share a GPU by what was measured. It becomes a number once, where the trials to run are known
(`gpu_fit.py`); the sweep that is kept says "fit" and, beside it, what that was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from orchestrator.errors import BadInput
from orchestrator.sweep import Sweep

Gpus = float | Literal["fit"] | None
"""GPUs a trial, as a command says it; None: as the sweep file says."""

FITTED = "gpus_fitted"
"""Among the options of a run that are kept, the number that "fit" was."""


def device_here(requested: str) -> str:
    """What trials run on here, "cpu" or "cuda"; "auto" is a GPU where there is one. Raises BadInput for what is not."""
    from training.device import prepare_device

    try:
        return prepare_device(requested)[0].type
    except ValueError as error:
        raise BadInput(str(error)) from None


def asks_to_fit(sweep: Sweep, gpus: Gpus) -> bool:
    """Whether it is for the store's measurements to say how many trials share a GPU."""
    return _asked_gpus(sweep, gpus) == "fit"


def trial_resources(sweep: Sweep, gpus: Gpus, cpus: float | None) -> dict[str, Any]:
    """As arguments of `ray_tune.Cluster`. None GPUs are one where there are any: so is "fit" where none was fitted."""
    asked = _asked_gpus(sweep, gpus)
    return {
        "gpus_per_trial": None if asked in ("auto", "fit") else asked,
        "cpus_per_trial": sweep.resources.cpu if cpus is None else cpus,
    }


def paid_resources(sweep: Sweep, gpus: Gpus, cpus: float | None) -> dict[str, float]:
    """What an hour of a trial is counted with: its GPUs where it ran on one, else its cores."""
    reserved = trial_resources(sweep, gpus, cpus)
    return {name: 1.0 if value is None else float(value) for name, value in reserved.items()}


def paid_as_told(sweep: Sweep, told: Mapping[str, Any]) -> dict[str, float]:
    """The same by the options of a run."""
    gpus = told.get("gpus_per_trial")
    if asks_to_fit(sweep, gpus):
        gpus = told.get(FITTED, "fit")
    return paid_resources(sweep, gpus, told.get("cpus_per_trial"))


def _asked_gpus(sweep: Sweep, gpus: Gpus) -> float | str:
    return sweep.resources.gpu if gpus is None else gpus
