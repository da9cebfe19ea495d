"""What a sweep may cost: read from the sweep file, no part of any trial."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.axis import Strict

Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BudgetSpec(Strict):
    """Limits after which nothing further is begun. Several hold at once; a run that stopped goes on once they allow."""

    gpu_hours: Amount | None = None
    """GPU hours of trials, each counted with the share of a GPU that it reserves."""
    cpu_hours: Amount | None = None
    """Core hours of trials on a CPU, each counted with the cores that it reserves."""
    money: Amount | None = None
    """In the currency of the prices."""
    price_per_gpu_hour: Amount | None = None
    price_per_cpu_hour: Amount | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> BudgetSpec:
        has_price = self.price_per_gpu_hour is not None or self.price_per_cpu_hour is not None
        if self.money is not None and not has_price:
            message = "money needs a price: write price_per_gpu_hour, price_per_cpu_hour or both beside it"
            raise PydanticCustomError("budget", message, {"at": "money"})
        if self.money is None and has_price:
            message = "a price limits nothing by itself: write money beside it, or gpu_hours instead"
            raise PydanticCustomError("budget", message, {"at": "price_per_gpu_hour"})
        if self.money is None and self.gpu_hours is None and self.cpu_hours is None:
            raise PydanticCustomError("budget", "expected gpu_hours, cpu_hours or money", {})
        return self
