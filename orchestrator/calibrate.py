"""Time each network of a sweep for seconds, so that a sweep nobody ran has an estimate: of this machine, not of any."""

from __future__ import annotations

from orchestrator.cost import CostModel
from orchestrator.plan import Plan
from orchestrator.sources import UserCode
from orchestrator.sweepfile import SweepFile


def calibrate(file: SweepFile, plan: Plan, costs: CostModel, data_root: str | None = None) -> None:
    """Tell `costs` how fast this machine trains each network that is to be run, on the device that `costs` are of.

    What cannot be built or loaded is left out: its trials will say why.
    """
    from training.device import prepare_device
    from training.pace import seconds_a_step

    UserCode(file.folder).make_importable()
    device, _ = prepare_device(costs.device)
    networks = plan.to_run.frame.with_row_index("row").unique(["dataset", "model"], keep="first", maintain_order=True)
    for row in networks["row"]:
        config = plan.to_run[row].config
        if not config.training.epochs:
            continue
        try:
            seconds = seconds_a_step(config, device, data_root=data_root)
        except Exception:  # whatever a user's code raises, every trial raises too and is a row that says so
            continue
        costs.calibrate(config, seconds)
