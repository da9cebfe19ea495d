"""What a trial runs on, and what it reserves there: what a command says, then the sweep file."""

from __future__ import annotations

from typing import Any

from orchestrator.errors import BadInput
from orchestrator.sweep import Sweep


def device_here(requested: str) -> str:
    """What trials run on here, "cpu" or "cuda"; "auto" is a GPU where there is one. Raises BadInput for what is not."""
    from training.device import prepare_device

    try:
        return prepare_device(requested)[0].type
    except ValueError as error:
        raise BadInput(str(error)) from None


def trial_resources(sweep: Sweep, gpus: float | None, cpus: float | None) -> dict[str, Any]:
    """As arguments of `ray_tune.Cluster`. None GPUs are one where there are any."""
    in_file = None if sweep.resources.gpu == "auto" else sweep.resources.gpu
    return {
        "gpus_per_trial": in_file if gpus is None else gpus,
        "cpus_per_trial": sweep.resources.cpu if cpus is None else cpus,
    }


def paid_resources(sweep: Sweep, gpus: float | None, cpus: float | None) -> dict[str, float]:
    """What an hour of a trial is counted with: its GPUs where it ran on one, else its cores."""
    reserved = trial_resources(sweep, gpus, cpus)
    return {name: 1.0 if value is None else float(value) for name, value in reserved.items()}
